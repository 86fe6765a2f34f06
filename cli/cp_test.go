package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSplitCopyArg(t *testing.T) {
	for arg, want := range map[string][2]string{
		"c:/x":    {"c", "/x"},
		"c:x:y":   {"c", "x:y"},
		"c:":      {"c", ""},
		"x":       {"", "x"},
		"./a:b":   {"", "./a:b"},
		"/a:b":    {"", "/a:b"},
		"../a:b":  {"", "../a:b"},
		".hid:b":  {"", ".hid:b"},
		"-":       {"", "-"},
		"a/b:c/d": {"a/b", "c/d"},
	} {
		container, path := splitCopyArg(arg)
		if got := [2]string{container, path}; got != want {
			t.Errorf("%s: %q, want %q", arg, got, want)
		}
	}
}

func TestWhereACopyGoesOnTheHost(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(in("dir"), 0o755), os.WriteFile(in("file"), nil, 0o644), os.Symlink("dir", in("todir")), os.Symlink("new", in("dangling")),
		os.Symlink("loop", in("loop")), os.Symlink("no/where", in("gone")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		to       string
		isDir    bool
		dir, as  string
		mustFail string
	}{
		{"dir", false, "dir", "src", ""},
		{"dir/", true, "dir", "src", ""},
		{"todir", false, "dir", "src", ""},
		{"file", false, "", "file", ""},
		{"new", false, "", "new", ""},
		{"new/", true, "", "new", ""},
		{"dangling", false, "", "new", ""},
		{"new/", false, "", "", "no such directory"},
		{"file", true, "", "", "cannot copy a directory to a file"},
		{"file/", false, "", "", "not a directory"},
		{"no/where", false, "", "", "does not exist"},
		{"gone", false, "", "", "does not exist"},
		{"loop", false, "", "", "too many symlinks"},
	} {
		given := in(c.to)
		if strings.HasSuffix(c.to, "/") {
			given += "/"
		}
		got, err := findHostTarget(given)
		if err == nil {
			err = got.accepts(c.isDir)
		}
		if c.mustFail != "" {
			if err == nil || !strings.Contains(err.Error(), c.mustFail) {
				t.Errorf("%s: %v, want %s", c.to, err, c.mustFail)
			}
			continue
		}
		if err != nil || got.dir != in(c.dir) || got.as("/a/src") != c.as {
			t.Errorf("%s: %+v, %v", c.to, got, err)
		}
	}
	if _, err := findHostTarget("/dev/null"); err == nil {
		t.Error("a device was taken")
	}
}

func TestAFileHasItsNameOnlyWhenItIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := toFile(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return os.ErrInvalid
	})
	content, _ := os.ReadFile(path)
	names, _ := os.ReadDir(filepath.Dir(path))
	if err == nil || string(content) != "before" || len(names) != 1 {
		t.Errorf("%v, %q, %v", err, content, names)
	}
}
