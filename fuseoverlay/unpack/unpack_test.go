package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

func TestKindsOfFiles(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	res := r.must(
		dir("./").mode(0o1777),
		dir("bin").mode(0o555).at(someTime),
		file("bin/su", "binary").mode(0o4755),
		file("bin/wall", "binary").mode(0o2775),
		hardlink("bin/su2", "bin/su"),
		symlink("bin/sh", "/bin/dash"),
		fifo("pipe").mode(0o666),
		file("big", strings.Repeat("0123456789abcdef", 200_000)),
		device("null", tar.TypeChar, 1, 3),
		device("sda", tar.TypeBlock, 8, 0),
		device("whiteout", tar.TypeChar, 0, 0),
	)
	for name, mode := range map[string]uint32{
		".":        unix.S_IFDIR | 0o1777,
		"bin":      unix.S_IFDIR | 0o555,
		"bin/su":   unix.S_IFREG | 0o4755,
		"bin/wall": unix.S_IFREG | 0o2775,
		"bin/sh":   unix.S_IFLNK | 0o777,
		"pipe":     unix.S_IFIFO | 0o666,
	} {
		st := r.stat(name)
		if st.Mode != mode {
			t.Errorf("%s has mode %o, want %o", name, st.Mode, mode)
		}
		if st.Mtim.Sec != someTime.Unix() || st.Mtim.Nsec != int64(someTime.Nanosecond()) {
			t.Errorf("%s has time %v", name, st.Mtim)
		}
	}
	if a, b := r.stat("bin/su"), r.stat("bin/su2"); a.Ino != b.Ino || a.Nlink != 2 {
		t.Errorf("the hard link is another file: %d, %d", a.Ino, b.Ino)
	}
	r.content("big", strings.Repeat("0123456789abcdef", 200_000))
	for _, name := range []string{"null", "sda", "whiteout"} {
		r.missing(name)
	}
	if res.SkippedDevices != 3 || res.Entries != 11 {
		t.Errorf("result %+v", res)
	}
}

func TestOwners(t *testing.T) {
	testns.NeedIDs(t)
	r := newRoot(t)
	r.must(
		dir("home").owner(1000, 100).mode(0o2750),
		file("home/f", "x").owner(7, 8).mode(0o6755),
		symlink("home/l", "f").owner(9, 10),
		fifo("home/p").owner(11, 12),
		dir("home/plain"),
	)
	for name, want := range map[string][2]uint32{
		"home": {1000, 100}, "home/f": {7, 8}, "home/l": {9, 10}, "home/p": {11, 12}, "home/plain": {0, 0},
	} {
		if st := r.stat(name); [2]uint32{st.Uid, st.Gid} != want {
			t.Errorf("%s belongs to %d:%d, want %v", name, st.Uid, st.Gid, want)
		}
	}
	if st := r.stat("home/f"); st.Mode&0o7777 != 0o6755 {
		t.Errorf("set-ID bits are lost: %o", st.Mode)
	}
}

// What the directory above would hand down must not reach a layer: its group by
// the set-group-ID bit, and its default ACL.
func TestNothingIsInherited(t *testing.T) {
	testns.NeedIDs(t)
	r := newRoot(t)
	if err := os.Chown(r.path, 0, 50); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(r.path, 0o2777); err != nil {
		t.Fatal(err)
	}
	// user::rwx, group::rwx, mask::rwx, other::rwx, and user 7 may do all.
	acl := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\x07\x00\x00\x00" +
		"\x04\x00\x07\x00\xff\xff\xff\xff" + "\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x07\x00\xff\xff\xff\xff"
	if err := unix.Setxattr(r.path, "system.posix_acl_default", []byte(acl), 0); err != nil {
		t.Fatal(err)
	}
	r.must(dir("d"), file("d/f", "x"), file("g", "x").mode(0o600), file("kept", "x").xattr("system.posix_acl_access", acl))
	for name, mode := range map[string]uint32{"d": unix.S_IFDIR | 0o755, "d/f": unix.S_IFREG | 0o644, "g": unix.S_IFREG | 0o600} {
		if st := r.stat(name); st.Gid != 0 || st.Mode != mode || r.xattr(name, "system.posix_acl_access") != "" {
			t.Errorf("%s: group %d, mode %o, ACL %q", name, st.Gid, st.Mode, r.xattr(name, "system.posix_acl_access"))
		}
	}
	if got := r.xattr("kept", "system.posix_acl_access"); got == "" {
		t.Error("an image's own ACL is lost")
	}
}

func TestUnmappedOwner(t *testing.T) {
	testns.NeedIDs(t)
	r := newRoot(t)
	_, err := r.unpack(archive(t, file("f", "x").owner(1_000_000, 5)), Options{})
	var unmapped *UnmappedError
	if !errors.As(err, &unmapped) || unmapped.UID != 1_000_000 || !strings.Contains(err.Error(), `entry "f"`) {
		t.Errorf("error %v", err)
	}
}

func TestOneIDKeepsOwnersInMind(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	_, err := r.unpack(archive(t, dir("d").owner(5, 6), file("d/f", "x").owner(7, 8), file("d/root", "x")), Options{OneID: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"d": "5:6", "d/f": "7:8", "d/root": ""} {
		if got := r.xattr(name, OwnerXattr); got != want {
			t.Errorf("%s: intended owner %q, want %q", name, got, want)
		}
		if st := r.stat(name); st.Uid != 0 || st.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}

// capNetRaw is cap_net_raw+ep: version 2, and 3 with another root's id.
const (
	capNetRaw2 = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	capNetRaw3 = "\x01\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\x86\x01\x00"
)

func TestXattrs(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	res := r.must(
		file("plain", "x").xattr("user.mine", "v"),
		file("ping", "x").xattr("security.capability", capNetRaw2).owner(0, 0).mode(0o755),
		file("ping3", "x").xattr("security.capability", capNetRaw3),
		dir("d").xattr("user.overlay.opaque", "y"),
		file("r", "x").xattr("user.overlay.redirect", "/etc"),
		file("m", "x").xattr("user.overlay.metacopy", ""),
		file("fo", "x").xattr("user.fuseoverlayfs.origin", "a"),
		file("co", "x").xattr("user.containers.override_stat", "0:0:4755"),
		file("ro", "x").xattr("user.rootlet.owner", "1:1"),
		file("t", "x").xattr("trusted.overlay.opaque", "y"),
		file("se", "x").xattr("security.selinux", "system_u"),
		file("ima", "x").xattr("security.ima", "x"),
	)
	if got := r.xattr("plain", "user.mine"); got != "v" {
		t.Errorf("user.mine is %q", got)
	}
	for _, name := range []string{"ping", "ping3"} {
		// Read in the namespace whose root it is for, version 3 looks like 2.
		if got := r.xattr(name, capabilityXattr); got != capNetRaw2 {
			t.Errorf("%s: capability %q", name, got)
		}
	}
	for _, name := range []string{"d", "r", "m", "fo", "co", "ro", "t", "se", "ima"} {
		buf := make([]byte, 256)
		n, err := unix.Llistxattr(filepath.Join(r.path, name), buf)
		if err != nil || n > 0 && string(buf[:n]) != "security.selinux\x00" {
			t.Errorf("%s has %q (%v)", name, buf[:n], err)
		}
	}
	if res.SkippedXattrs != 9 {
		t.Errorf("%d attributes skipped, want 9", res.SkippedXattrs)
	}
}

func TestMalformedCapability(t *testing.T) {
	testns.Need(t)
	for _, value := range []string{"x", capNetRaw2[:19], capNetRaw3[:20], "\x01\x00\x00\x01" + capNetRaw2[4:]} {
		r := newRoot(t)
		if _, err := r.unpack(archive(t, file("f", "x").xattr(capabilityXattr, value)), Options{}); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
}

func TestWhiteouts(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	res := r.must(
		dir("a"),
		file("a/.wh.gone", ""),
		dir("opq"),
		file("opq/.wh..wh..opq", ""),
		file("opq/new", "n"),
		// Whiteout and entry of one name in one layer: the whiteout is for below.
		file(".wh.before", ""), file("before", "b"),
		file("after", "a"), file(".wh.after", ""),
		file(".wh.dirbefore", ""), dir("dirbefore"), file("dirbefore/f", "f"),
		dir("dirafter"), file("dirafter/f", "f"), file(".wh.dirafter", ""),
		file(".wh.implied", ""), file("implied/f", "f"),
		// aufs's own.
		dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), file(".wh..wh.aufs", ""),
		file("deep/.wh.down", ""),
		file("emptied/.wh..wh..opq", ""),
	)
	for name, mode := range map[string]uint32{
		"a/gone": unix.S_IFCHR, "deep/down": unix.S_IFCHR,
		"before": unix.S_IFREG, "after": unix.S_IFREG,
		"dirbefore": unix.S_IFDIR, "dirafter": unix.S_IFDIR, "implied": unix.S_IFDIR,
	} {
		if st := r.stat(name); st.Mode&unix.S_IFMT != mode || mode == unix.S_IFCHR && st.Rdev != 0 {
			t.Errorf("%s is %o, device %x", name, st.Mode, st.Rdev)
		}
	}
	for name, want := range map[string]string{"opq": "y", "emptied": "y", "dirbefore": "y", "dirafter": "y", "implied": "y", "a": "", "deep": ""} {
		if got := r.xattr(name, OpaqueXattr); got != want {
			t.Errorf("%s: opaque %q, want %q", name, got, want)
		}
	}
	r.missing(".wh..wh.plnk")
	r.missing(".wh..wh.aufs")
	r.content("dirafter/f", "f")
	if got := strings.Join(res.Implied, " "); got != "emptied deep ." {
		t.Errorf("implied directories %q", got)
	}
}

func TestLaterReplacesEarlier(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	r.must(
		file("f", "old and longer"), file("f", "new").mode(0o600),
		dir("d"), file("d/kept", "k"), dir("d").mode(0o700),
		dir("d2"), dir("d2/sub"), file("d2/sub/f", "x"), file("d2", "now a file"),
		file("f2", "x"), dir("f2"), file("f2/in", "y"),
		dir("d3"), file("d3/a", "a"), symlink("d3", "d"), file("d3/b", "through the link"),
		symlink("l", "nowhere"), file("l", "a file now"),
		file("h", "h"), file("h2", "other"), hardlink("h2", "h"),
		symlink("s", "d"), dir("s"), file("s/in", "own directory"),
	)
	r.content("f", "new")
	r.content("d/kept", "k")
	r.content("d2", "now a file")
	r.content("f2/in", "y")
	r.content("d/b", "through the link")
	r.content("l", "a file now")
	r.content("h2", "h")
	r.content("s/in", "own directory")
	r.missing("d/in")
	if st := r.stat("f"); st.Mode&0o7777 != 0o600 {
		t.Errorf("f has mode %o", st.Mode)
	}
	if st := r.stat("d"); st.Mode&0o7777 != 0o700 {
		t.Errorf("d has mode %o", st.Mode)
	}
}

func TestLinksInsideTheRoot(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	r.must(
		dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib"), symlink("abs", "/usr"), symlink("up", "../../../usr"),
		file("lib/one", "1"), file("abs/two", "2"), file("up/three", "3"), file("/absolute", "4"), file("a/../five", "5"),
		hardlink("lib/six", "/usr/lib/one"),
		symlink("dangling", "../victim/hello"), hardlink("link-to-link", "dangling"),
	)
	r.content("usr/lib/one", "1")
	r.content("usr/two", "2")
	r.content("usr/three", "3")
	r.content("absolute", "4")
	r.content("five", "5")
	r.content("usr/lib/six", "1")
	if st := r.stat("link-to-link"); st.Mode&unix.S_IFMT != unix.S_IFLNK || st.Nlink != 2 {
		t.Errorf("the hard link to a symlink is %o", st.Mode)
	}
}

func TestLongNames(t *testing.T) {
	testns.Need(t)
	r := newRoot(t)
	base := strings.Repeat("n", 255)
	deep := strings.Repeat(strings.Repeat("d", 254)+"/", 15) + "f" // 3826 bytes
	r.must(file(base, "x"), file(deep, "deep"), symlink("l", strings.Repeat("t", 4000)))
	r.content(base, "x")
	t.Chdir(r.path)
	if b, err := os.ReadFile(deep); string(b) != "deep" {
		t.Errorf("the deep file holds %q (%v)", b, err)
	}
	for _, m := range []member{
		file(strings.Repeat("n", 256), "x"),
		file(strings.Repeat("d/", 2100)+"f", "x"),
		symlink("l", strings.Repeat("t", 4096)),
		file(strings.Repeat("x", 64<<10), "x"),
	} {
		if _, err := newRoot(t).unpack(archive(t, m), Options{}); err == nil {
			t.Errorf("a name of %d and a target of %d bytes are taken", len(m.Name), len(m.Linkname))
		}
	}
}

func TestSparse(t *testing.T) {
	testns.Need(t)
	// Made with GNU tar 1.34 from a file of 1 MiB with "data" at 512 KiB.
	for _, name := range []string{"sparse-gnu.tar", "sparse-pax.tar"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		r := newRoot(t)
		if _, err := r.unpack(data, Options{OneID: true}); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 1<<20)
		copy(want[512<<10:], "data")
		r.content("sparse", string(want))
		if st := r.stat("sparse"); st.Blocks*512 > 64<<10 {
			t.Errorf("%s: takes %d bytes on disk", name, st.Blocks*512)
		}
	}
}

func TestLimits(t *testing.T) {
	testns.Need(t)
	for name, c := range map[string]struct {
		limits  Limits
		members []member
	}{
		"entries": {Limits{Entries: 2}, []member{file("a", ""), file("b", ""), file("c", "")}},
		"bytes":   {Limits{Bytes: 10}, []member{file("a", "123456"), file("b", "123456")}},
		"stream":  {Limits{Stream: 1024}, []member{file("a", ""), file("b", "")}},
		"path":    {Limits{Path: 5}, []member{file("abcdef", "")}},
		"xattrs":  {Limits{Xattrs: 100}, []member{file("a", "").xattr("user.x", strings.Repeat("v", 200))}},
	} {
		_, err := newRoot(t).unpack(archive(t, c.members...), Options{Limits: c.limits})
		var limit *LimitError
		if !errors.As(err, &limit) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestReadsToTheEnd(t *testing.T) {
	testns.Need(t)
	in := bytes.NewReader(append(archive(t, file("f", "x")), make([]byte, 100_000)...))
	fd, err := unix.Open(newRoot(t).path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := Unpack(context.Background(), in, fd, Options{}); err != nil || in.Len() != 0 {
		t.Errorf("%d bytes are left (%v)", in.Len(), err)
	}
}

func TestTruncatedAndGarbage(t *testing.T) {
	testns.Need(t)
	whole := archive(t, dir("d"), file("d/f", strings.Repeat("x", 5000)))
	for _, n := range []int{1, 511, 513, 2000, 3000, 5000} {
		if _, err := newRoot(t).unpack(whole[:n], Options{}); err == nil {
			t.Errorf("the first %d bytes are taken for a layer", n)
		}
	}
	if _, err := newRoot(t).unpack(bytes.Repeat([]byte("garbage "), 1000), Options{}); err == nil {
		t.Error("garbage is taken for a layer")
	}
}

// endless is a file that never ends.
type endless struct{ head io.Reader }

func (e endless) Read(p []byte) (int, error) {
	if n, _ := e.head.Read(p); n > 0 {
		return n, nil
	}
	return len(p), nil
}

func TestCancel(t *testing.T) {
	testns.Need(t)
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	reader := io.TeeReader(endless{&head}, writerFunc(func(p []byte) { cancel() }))
	fd, err := unix.Open(newRoot(t).path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := Unpack(ctx, reader, fd, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
