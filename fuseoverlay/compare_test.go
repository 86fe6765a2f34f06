package fuseoverlay

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

// describeTree is one line per file below root: everything that stat, the
// extended attributes and the content tell.
func describeTree(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		out[name] = describeFile(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func describeFile(t testing.TB, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("mode %o owner %d:%d rdev %x time %d.%09d", st.Mode, st.Uid, st.Gid, st.Rdev, st.Mtim.Sec, st.Mtim.Nsec)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target, _ := os.Readlink(path)
		line += " -> " + target
	case unix.S_IFREG:
		b, err := os.ReadFile(path)
		line += fmt.Sprintf(" links %d size %d sum %x %v", st.Nlink, st.Size, sha256.Sum256(b), err)
	}
	return line + describeXattrs(path)
}

func describeXattrs(path string) string {
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return fmt.Sprintf(" xattrs %v", err)
	}
	names := strings.Split(string(buf[:n]), "\x00")
	slices.Sort(names)
	line := ""
	for _, name := range names {
		// The kernel hides its overlay's own; fuse-overlayfs does not hide the kernel's.
		if name == "" || strings.HasPrefix(name, "user.overlay.") || name == "security.selinux" {
			continue
		}
		value := make([]byte, 256)
		n, err := unix.Lgetxattr(path, name, value)
		line += fmt.Sprintf(" %s=%q %v", name, value[:max(n, 0)], err)
	}
	return line
}

// capNetRaw is cap_net_raw+ep as an image carries it.
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// motley are layers with all that an image can hold.
func motley(t testing.TB) [][]byte {
	long := strings.Repeat("l", 200)
	times := func(h tar.Header, sec, nsec int64) tar.Header { h.ModTime = time.Unix(sec, nsec); return h }
	return [][]byte{
		layer(t,
			dir(".", 0o755), dir("tmp", 0o1777), dir("etc", 0o755), dir("usr/bin", 0o755), dir("gone", 0o755),
			owned(file("etc/passwd", "root:x:0:0\n"), 0, 42),
			mode(file("usr/bin/su", "su"), 0o4755), mode(owned(file("usr/bin/wall", "wall"), 0, 5), 0o2755),
			hardlink("usr/bin/su-too", "usr/bin/su"),
			with(mode(file("usr/bin/ping", "ping"), 0o755), "security.capability", capNetRaw),
			with(file("etc/marked", "m"), "user.mark", "value"),
			symlink("bin", "usr/bin"), symlink("etc/dangling", "/nowhere/at/all"), owned(symlink("etc/theirs", "passwd"), 3, 4),
			file("gone/a", "a"), file("gone/b", "b"), file("etc/removed", "r"),
			dir("opaque", 0o700), file("opaque/old", "old"), dir("opaque/sub", 0o755), file("opaque/sub/deep", "deep"),
			file(long+"/"+long+"/"+long+"/"+long, "long"), times(file("old", "old"), 1, 999999999), times(file("before", "1970"), -86400, 0),
			file("turns/into", "a directory has it"), file("dir-to-be", "file"), symlink("link-to-be-dir", "etc"),
			tar.Header{Typeflag: tar.TypeFifo, Name: "fifo", Mode: 0o620},
			owned(dir("home/user", 0o2750), 1000, 100), owned(mode(file("home/user/.rc", "rc"), 0o600), 1000, 100),
			file("empty", ""), mode(file("unreadable", "secret"), 0), dir("closed", 0), file("closed/in", "in"),
		),
		layer(t,
			file("etc/.wh.removed", ""), file(".wh.gone", ""),
			file("opaque/.wh..wh..opq", ""), file("opaque/new", "new"),
			file("tmp/added", "t"), // no entry for tmp, which must stay 1777
			file(".wh.turns", ""), file("turns", "into a file"),
			dir("dir-to-be", 0o711), file("dir-to-be/in", "in"),
			dir("link-to-be-dir", 0o755), file("link-to-be-dir/own", "own"),
		),
		layer(t,
			dir("opaque", 0o750), dir("opaque/sub", 0o701), file("opaque/sub/again", "again"),
			dir("gone", 0o755), file("gone/back", "back"),
			owned(file("etc/passwd", "root:x:0:0\nuser:x:1000:100\n"), 0, 42),
			symlink("etc/marked", "passwd"), file("home/user/.rc", "root's now"),
		),
	}
}

// All drivers must show the same files, and those of the image.
func TestDriversShowTheSame(t *testing.T) {
	testns.NeedIDs(t)
	layers := motley(t)
	trees := map[string]map[string]string{}
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		s := openStore(t, driver)
		root := mountImage(t, s, putImage(t, s, "example.com/motley:latest", layers...), MountOptions{})
		trees[driver] = describeTree(t, root.Path)
	}
	compareTrees(t, Native, trees[Native], FuseOverlayfs, trees[FuseOverlayfs])
	compareTrees(t, Native, trees[Native], Copy, trees[Copy])
	for name, want := range map[string]string{
		"tmp": "mode 41777 ", "home/user": "mode 42750 owner 1000:100", "usr/bin/su": "mode 104755 owner 0:0",
		"usr/bin/ping": "security.capability=", "turns": "mode 100644", "dir-to-be": "mode 40711", "opaque": "mode 40750",
	} {
		if got := trees[Native][name]; !strings.Contains(got, want) {
			t.Errorf("%s: %q lacks %q", name, got, want)
		}
	}
	for _, name := range []string{"etc/removed", "gone/a", "opaque/old", "opaque/sub/deep", "link-to-be-dir/passwd", "opaque/.wh..wh..opq"} {
		if got, found := trees[Native][name]; found {
			t.Errorf("%s should be hidden: %s", name, got)
		}
	}
}

// A layer may hide all below it, by a mark in its root.
func TestOpaqueRoot(t *testing.T) {
	testns.Need(t)
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		s := openStore(t, driver)
		img := putImage(t, s, "example.com/a:1",
			layer(t, dir(".", 0o711), file("hidden", ""), file("d/hidden", "")),
			layer(t, dir(".", 0o711), file(".wh..wh..opq", ""), file("d/shown", "")),
			layer(t, dir(".", 0o711), file("top", "")))
		got := describeTree(t, mountImage(t, s, img, MountOptions{}).Path)
		if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != ". d d/shown top" {
			t.Errorf("%s shows %s", driver, names)
		}
	}
}

func compareTrees(t *testing.T, nameA string, a map[string]string, nameB string, b map[string]string) {
	t.Helper()
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] {
			t.Errorf("%.80s differs\n%s: %q\n%s: %q", name, nameA, a[name], nameB, b[name])
		}
	}
}
