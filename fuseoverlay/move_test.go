package fuseoverlay

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/internal/testns"
	"rootlet/fuseoverlay/tree"
)

// A copy is as what it was copied from: owners, modes, times, attributes, links,
// holes, and what overlays mark.
func TestCopyTree(t *testing.T) {
	testns.Need(t)
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	path := func(name string) string { return filepath.Join(from, name) }
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	when := unix.NsecToTimespec(time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC).UnixNano())
	must(
		os.Mkdir(path("dir"), 0o700),
		os.WriteFile(path("dir/file"), []byte("text"), 0o600),
		os.Link(path("dir/file"), path("other")),
		os.Symlink("../nowhere", path("dir/link")),
		unix.Mkfifo(path("fifo"), 0o640),
		unix.Mknod(path("gone"), unix.S_IFCHR, 0), // a whiteout
		os.WriteFile(path("sparse"), nil, 0o600),
		os.Truncate(path("sparse"), 64<<20),
		unix.Setxattr(path("dir"), "user.overlay.opaque", []byte("y"), 0),
		unix.Setxattr(path("dir/file"), "user.other", []byte("value"), 0),
		unix.Chmod(path("dir/file"), 0o4751),
		unix.Chmod(path("dir"), 0),
	)
	if id := OtherID(); id != 0 {
		must(unix.Lchown(path("dir/link"), id, id+1), unix.Lchown(path("gone"), id, id), unix.Lchown(path("dir"), id, id))
	}
	for _, name := range []string{"dir/file", "dir/link", "dir", "fifo"} {
		must(unix.UtimesNanoAt(unix.AT_FDCWD, path(name), []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW))
	}
	must(CopyTree(from, to, nil))
	var fds [2]int
	for i, dir := range []string{from, to} {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(err)
		defer unix.Close(fd)
		fds[i] = fd
	}
	if at, err := tree.Differs(fds[0], fds[1]); err != nil || at != "" {
		t.Errorf("%q differs, %v", at, err)
	}
	for _, name := range []string{"dir", "dir/file", "dir/link", "other", "fifo", "gone", "sparse"} {
		var a, b unix.Stat_t
		must(unix.Lstat(path(name), &a), unix.Lstat(filepath.Join(to, name), &b))
		if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Nlink != b.Nlink || a.Rdev != b.Rdev || a.Mtim != b.Mtim || a.Size != b.Size {
			t.Errorf("%s: %+v and %+v", name, a, b)
		}
		if name == "sparse" && b.Blocks > a.Blocks+8 {
			t.Errorf("%s: %d blocks", name, b.Blocks)
		}
	}
	value := make([]byte, 10)
	for name, attribute := range map[string]string{"dir": "user.overlay.opaque", "dir/file": "user.other"} {
		if _, err := unix.Lgetxattr(filepath.Join(to, name), attribute, value); err != nil {
			t.Errorf("%s: %s: %v", name, attribute, err)
		}
	}
	must(RemoveTree(to))
}

// A scratch that has lost layers says which, by whatever of them is gone.
func TestLost(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	if lost, err := s.config.Lost(""); err != nil || lost != nil {
		t.Errorf("no scratch: %v, %v", lost, err)
	}
	c := Config{GraphRoot: filepath.Join(t.TempDir(), "scratch"), Lists: s.config.GraphRoot}
	for range 2 { // it may be made again at any time
		if err := c.LinkLists(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(c.GraphRoot); err != nil {
		t.Fatal(err)
	}
	if err := c.LinkLists(); err != nil {
		t.Fatal(err)
	}
	id := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	layer := filepath.Join(c.LayerDir(), id)
	if err := os.MkdirAll(filepath.Join(layer, "diff"), 0o700); err != nil {
		t.Fatal(err)
	}
	if c.has(c.LayerDir(), id) {
		t.Error("a layer that is not marked counts as whole")
	}
	if err := c.markWhole(layer); err != nil || !c.has(c.LayerDir(), id) {
		t.Errorf("marked: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(layer, "diff")); err != nil || c.has(c.LayerDir(), id) {
		t.Errorf("without its files it counts as whole: %v", err)
	}
}
