package tree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { testns.Main(m) }

func open(t testing.TB, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestRemoveAt(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	victim := filepath.Join(top, "victim")
	for _, dir := range []string{"victim", "doomed/closed/in", "doomed/many"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(victim, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if err := os.WriteFile(filepath.Join(top, "doomed/many", fmt.Sprint(i)), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"doomed/link", "doomed/closed/in/link"} {
		if err := os.Symlink(victim, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"doomed/closed/in", "doomed/closed", "doomed"} {
		if err := os.Chmod(filepath.Join(top, dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	at := open(t, top)
	for _, name := range []string{"doomed", "missing"} {
		if err := RemoveAt(at, name); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(top); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(victim, "f")); err != nil {
		t.Error(err)
	}
}

// A container can nest directories far deeper than descriptors or paths go.
func TestRemoveDeepTree(t *testing.T) {
	testns.Need(t)
	at := open(t, t.TempDir())
	const depth = 5000
	dir, err := unix.Dup(at)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := unix.Mkdirat(dir, "d", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(dir, "d", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(dir)
		dir = next
	}
	unix.Close(dir)
	if err := RemoveAt(at, "d"); err != nil {
		t.Fatal(err)
	}
	if names, err := ReadNames(at); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// Each way to copy contents must give the same bytes, and keep holes.
func TestContent(t *testing.T) {
	testns.Need(t)
	const size = 3<<20 + 17
	want := make([]byte, size)
	copy(want, "head")
	copy(want[2<<20:], bytes.Repeat([]byte("middle"), 1000))
	for name, c := range map[string]Copier{
		"as it comes": {}, "without reflinks": {noReflink: true}, "by hand": {noReflink: true, noCopy: true},
	} {
		top := t.TempDir()
		if err := os.MkdirAll(top+"/from", 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(top + "/from/f")
		if err != nil {
			t.Fatal(err)
		}
		for _, offset := range []int{0, 2 << 20} {
			if _, err := f.WriteAt(bytes.TrimRight(want[offset:offset+8192], "\x00"), int64(offset)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Mkdir(top+"/to", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := c.Merge([]int{open(t, top+"/from")}, open(t, top+"/to")); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(top + "/to/f"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		var st unix.Stat_t
		if err := unix.Stat(top+"/to/f", &st); err != nil || st.Blocks*512 > 128<<10 {
			t.Errorf("%s: takes %d bytes on disk", name, st.Blocks*512)
		}
	}
}

func TestMergeRefusesUncoveredOwners(t *testing.T) {
	testns.Need(t)
	c := Copier{UID: func(id uint32) (uint32, error) { return 0, fmt.Errorf("no id for %d", id) }}
	top := t.TempDir()
	if err := os.Mkdir(top+"/to", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Merge([]int{open(t, t.TempDir())}, open(t, top+"/to")); err == nil || !strings.Contains(err.Error(), "no id for 0") {
		t.Errorf("error %v", err)
	}
}

// Attributes by which a file system shows what it has of its own stay with it.
func TestAttributesOfTheFileSystem(t *testing.T) {
	for name, want := range map[string]bool{
		"user.overlay.opaque": true, "security.capability": true, "system.posix_acl_access": true,
		"system.nfs4_acl": false, "system.cifs_acl": false, "lustre.lov": false, "trusted.overlay.opaque": false,
	} {
		if got := notFileSystems(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
