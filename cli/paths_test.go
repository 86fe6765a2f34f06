package cli

import (
	"os"
	"path/filepath"
	"testing"

	"rootlet/sandbox"
)

func TestFindPaths(t *testing.T) {
	dir := t.TempDir()
	home, private, open := filepath.Join(dir, "home"), filepath.Join(dir, "private"), filepath.Join(dir, "open")
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	for _, d := range []string{home, private, open} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(home, ".local/share/rootlet")
	for name, test := range map[string]struct {
		dataHome, runtime string
		want              sandbox.Paths
	}{
		"private":           {"", private, sandbox.Paths{Data: data, Runtime: private + "/rootlet"}},
		"missing":           {"", "", sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"not there":         {"", dir + "/none", sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"too open":          {"", open, sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"a file":            {"", file, sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"a link":            {"", link, sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"relative":          {"", ".", sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"of another":        {"", "/proc/1", sandbox.Paths{Data: data, Runtime: data + "/run"}},
		"data home":         {dir + "/xdg", private, sandbox.Paths{Data: dir + "/xdg/rootlet", Runtime: private + "/rootlet"}},
		"data home ignored": {"xdg", private, sandbox.Paths{Data: data, Runtime: private + "/rootlet"}},
	} {
		t.Setenv("HOME", home)
		t.Setenv("XDG_DATA_HOME", test.dataHome)
		t.Setenv("XDG_RUNTIME_DIR", test.runtime)
		got, err := findPaths()
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
			continue
		}
		for _, d := range []string{got.Data, got.Runtime} {
			if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %s: %v, %v", name, d, info, err)
			}
		}
	}
}

func TestFindPathsErrors(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "")
	for _, home := range []string{"", "relative"} {
		t.Setenv("HOME", home)
		if got, err := findPaths(); err == nil {
			t.Errorf("HOME=%q: %+v", home, got)
		}
	}
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	if err := os.Symlink("/tmp", dir+"/rootlet"); err != nil {
		t.Fatal(err)
	}
	if got, err := findPaths(); err == nil {
		t.Errorf("a link in its place: %+v", got)
	}
}

func TestTooOpenDataIsClosed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("XDG_RUNTIME_DIR", "")
	if err := os.Mkdir(dir+"/rootlet", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := findPaths(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir + "/rootlet"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}
