package placement

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rootlet/internal/testenv"
)

func TestMakeUsesNothingOfOthers(t *testing.T) {
	own := "rootlet-" + strconv.Itoa(os.Geteuid())
	victim := t.TempDir()
	for name, test := range map[string]struct {
		before func(base string) error
		want   string // of the error; empty: it is made
	}{
		"nothing there": {func(string) error { return nil }, ""},
		"ours":          {func(base string) error { return os.Mkdir(filepath.Join(base, own), 0o700) }, ""},
		"ours, open": {func(base string) error {
			dir := filepath.Join(base, own)
			return firstOf(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777))
		}, ""},
		"a link":          {func(base string) error { return os.Symlink(victim, filepath.Join(base, own)) }, "is not a directory of yours"},
		"a dangling link": {func(base string) error { return os.Symlink(victim+"/none", filepath.Join(base, own)) }, "is not a directory of yours"},
		"a fifo":          {func(base string) error { return syscall.Mkfifo(filepath.Join(base, own), 0o600) }, "is not a directory of yours"},
		"a file":          {func(base string) error { return os.WriteFile(filepath.Join(base, own), nil, 0o600) }, "is not a directory of yours"},
		"for all":         {func(base string) error { return os.Chmod(base, 0o777) }, "no sticky bit"},
		"for a group":     {func(base string) error { return os.Chmod(base, 0o770) }, "no sticky bit"},
		"for all, sticky": {func(base string) error { return os.Chmod(base, 0o777|os.ModeSticky) }, ""},
		"gone":            {os.Remove, "no such file"},
		"a link below": {func(base string) error {
			return firstOf(os.Mkdir(filepath.Join(base, own), 0o700), os.Symlink(victim, Scratch(base, "/data")))
		}, "is not a directory of yours"},
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "base")
			if err := firstOf(os.Mkdir(base, 0o700), test.before(base)); err != nil {
				t.Fatal(err)
			}
			scratch := Scratch(base, "/data")
			err := Make(scratch)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				if entries, _ := os.ReadDir(victim); len(entries) > 0 {
					t.Error("a link was followed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{scratch, filepath.Dir(scratch)} {
				if info, err := os.Lstat(dir); err != nil || info.Mode() != os.ModeDir|0o700 {
					t.Errorf("%s: %v, %v", dir, info, err)
				}
			}
			if err := Make(scratch); err != nil {
				t.Errorf("again: %v", err)
			}
			Unmake(scratch)
			if left, _ := os.ReadDir(base); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// /proc/1 stands for what another user has made.
func TestADirectoryOfAnotherUser(t *testing.T) {
	testenv.NeedUser(t)
	if err := makeOwn("/proc/1"); err == nil || !strings.Contains(err.Error(), "is not a directory of yours") {
		t.Error(err)
	}
}

func TestUnmakeLeavesOtherStores(t *testing.T) {
	base := t.TempDir()
	one, two := Scratch(base, "/one"), Scratch(base, "/two")
	if one == two {
		t.Fatal("two stores share a scratch")
	}
	if err := firstOf(Make(one), Make(two)); err != nil {
		t.Fatal(err)
	}
	Unmake(one)
	if _, err := os.Lstat(two); err != nil {
		t.Error(err)
	}
}

func TestBases(t *testing.T) {
	for _, test := range []struct{ cache, tmp, want string }{
		{"", "", "/var/tmp /tmp"},
		{"/c/ache", "/t", "/c/ache /t /var/tmp /tmp"},
		{"relative", "/tmp/", "/tmp /var/tmp"},
		{"/c", "/c", "/c /var/tmp /tmp"},
	} {
		env := map[string]string{"XDG_CACHE_HOME": test.cache, "TMPDIR": test.tmp}
		if got := Bases(func(name string) string { return env[name] }); !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestRecord(t *testing.T) {
	data, copied := t.TempDir(), t.TempDir()
	if _, ok := Read(data); ok {
		t.Error("something was decided about an empty directory")
	}
	if err := Write(data, Record{FS: "ext4"}); err != nil {
		t.Fatal(err)
	}
	if r, ok := Read(data); !ok || r.Layers != "" || r.FS != "ext4" {
		t.Errorf("%+v, %t", r, ok)
	}
	want := Record{Layers: "/var/tmp/rootlet-1/x", FS: "nfs", Why: []string{"no owners"}}
	if err := Write(data, want); err != nil {
		t.Fatal(err)
	}
	if r, ok := Read(data); !ok || r.Layers != want.Layers || !slices.Equal(r.Why, want.Why) {
		t.Errorf("%+v, %t", r, ok)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	if _, ok := Read(link); !ok {
		t.Error("the same directory under another name is not known")
	}
	// Of a copy the record says nothing, but that there was a scratch.
	text, err := os.ReadFile(filepath.Join(data, fileName))
	if err == nil {
		err = os.WriteFile(filepath.Join(copied, fileName), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := Read(copied); ok || r.Layers != want.Layers {
		t.Errorf("of a copy: %+v, %t", r, ok)
	}
	if left, _ := os.ReadDir(data); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestDamagedRecords(t *testing.T) {
	data := t.TempDir()
	for _, text := range []string{
		"", "{", "[]", `{"version":2}`, `{"version":1,"layers":"relative"}`, `{"version":1,"layers":"/a/../b"}`,
		`{"version":1,"layers":7}`, strings.Repeat(" ", maxRecord) + `{"version":1}`,
	} {
		if err := os.WriteFile(filepath.Join(data, fileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, ok := Read(data); ok || r.Layers != "" {
			t.Errorf("%.40q: %+v", text, r)
		}
	}
}
