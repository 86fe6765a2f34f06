package archive

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
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/internal/testns"
)

// opened opens a path as the callers of this package do.
func opened(t testing.TB, path string) *os.File {
	t.Helper()
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { f.Close() })
	return f
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func pack(t testing.TB, path, as string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(context.Background(), &b, WriteOptions{})
	check(t, w.Tree(opened(t, path), as), w.Close())
	return b.Bytes()
}

func TestATreeComesBackAsItWas(t *testing.T) {
	testns.Need(t)
	from, to := t.TempDir(), t.TempDir()
	in := func(name string) string { return filepath.Join(from, "top", name) }
	check(t, os.MkdirAll(in("dir/deep"), 0o755))
	check(t, os.WriteFile(in("dir/file"), []byte("content"), 0o640), unix.Chmod(in("dir/file"), 0o4751))
	check(t, os.Link(in("dir/file"), in("hard")), os.Symlink("../nowhere", in("dir/link")), unix.Mkfifo(in("pipe"), 0o600))
	check(t, unix.Setxattr(in("dir/file"), "user.note", []byte("kept\x00\xff"), 0), unix.Setxattr(in("dir/file"), "user.overlay.origin", []byte("x"), 0))
	check(t, os.WriteFile(in("sparse"), []byte("head"), 0o600), os.Truncate(in("sparse"), 30<<20))
	name := in("\xff\n " + strings.Repeat("n", 200))
	check(t, os.WriteFile(name, nil, 0o600))
	when := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	check(t, os.Chtimes(in("dir/file"), when, when), os.Chmod(in("dir"), 0o555), os.Chtimes(in("dir"), when, when))
	t.Cleanup(func() { _ = os.Chmod(in("dir"), 0o755); _ = os.Chmod(filepath.Join(to, "as", "dir"), 0o755) })

	packed := pack(t, filepath.Join(from, "top"), "as")
	left, err := Extract(context.Background(), bytes.NewReader(packed), int(opened(t, to).Fd()), ExtractOptions{Modes: 0o7777, OwnLinks: true})
	check(t, err)
	if left != (Extracted{}) {
		t.Errorf("left out: %+v", left)
	}
	out := func(name string) string { return filepath.Join(to, "as", name) }
	var file, hard, dir, sparse unix.Stat_t
	check(t, unix.Lstat(out("dir/file"), &file), unix.Lstat(out("hard"), &hard), unix.Lstat(out("dir"), &dir), unix.Lstat(out("sparse"), &sparse))
	if file.Mode != unix.S_IFREG|0o4751 || file.Mtim.Nano() != when.UnixNano() || file.Ino != hard.Ino {
		t.Errorf("file: mode %o, time %v, inodes %d and %d", file.Mode, file.Mtim, file.Ino, hard.Ino)
	}
	if dir.Mode != unix.S_IFDIR|0o555 || dir.Mtim.Nano() != when.UnixNano() {
		t.Errorf("directory: mode %o, time %v", dir.Mode, dir.Mtim)
	}
	if sparse.Size != 30<<20 || sparse.Blocks > 1000 {
		t.Errorf("sparse file: %d bytes in %d blocks", sparse.Size, sparse.Blocks)
	}
	value := make([]byte, 10)
	n, err := unix.Getxattr(out("dir/file"), "user.note", value)
	if err != nil || string(value[:n]) != "kept\x00\xff" {
		t.Errorf("attribute %q, %v", value[:max(n, 0)], err)
	}
	if _, err := unix.Getxattr(out("dir/file"), "user.overlay.origin", value); err != unix.ENODATA {
		t.Errorf("an overlay's attribute was copied: %v", err)
	}
	if link, err := os.Readlink(out("dir/link")); link != "../nowhere" {
		t.Errorf("link to %q, %v", link, err)
	}
	if _, err := os.Lstat(out(filepath.Base(name))); err != nil {
		t.Error(err)
	}
	if again := pack(t, out(""), "as"); !bytes.Equal(again, packed) {
		t.Error("the copy makes another archive than the original")
	}
}

func TestSetIDBitsGoWhereTheyAreNobodysToBring(t *testing.T) {
	to := t.TempDir()
	archive := entries(t, tar.Header{Typeflag: tar.TypeReg, Name: "su", Mode: 0o6777})
	_, err := Extract(context.Background(), archive, int(opened(t, to).Fd()), ExtractOptions{Modes: 0o1777 &^ 0o022})
	check(t, err)
	info, err := os.Lstat(filepath.Join(to, "su"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A file that shrinks or grows while it is read has the size of its header.
func TestAFileThatChangesItsSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	check(t, os.WriteFile(path, []byte("12345"), 0o600))
	for size, want := range map[int64]string{3: "123", 8: "12345\x00\x00\x00"} {
		f, err := os.Open(path)
		check(t, err)
		var b bytes.Buffer
		w := NewWriter(context.Background(), &b, WriteOptions{})
		check(t, w.Header(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: size}), w.content(f, size), w.Close(), f.Close())
		r := tar.NewReader(&b)
		_, err = r.Next()
		check(t, err)
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("%d bytes: %q, %v", size, got, err)
		}
	}
}

// entries is an archive of these headers; a file's content is its Linkname.
func entries(t testing.TB, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	b := new(bytes.Buffer)
	w := tar.NewWriter(b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		check(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, content)
		check(t, err)
	}
	check(t, w.Close())
	return b
}

func TestArchivesThatLeadOutside(t *testing.T) {
	link := func(name, target string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
	}
	file := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: "evil", Mode: 0o644}
	}
	hard := func(name, target string) tar.Header {
		return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}
	}
	for name, c := range map[string]struct {
		archive []tar.Header
		refused bool // with a root for symlinks too
	}{
		"up":                {[]tar.Header{file("../victim/f")}, true},
		"up later":          {[]tar.Header{file("x/../../victim/f")}, true},
		"through a link":    {[]tar.Header{link("l", "../victim"), file("l/f")}, false},
		"absolute link":     {[]tar.Header{link("l", "VICTIM"), file("l/f")}, false},
		"link below a link": {[]tar.Header{link("a", ".."), link("b", "a/victim"), file("b/f")}, false},
		"onto a link":       {[]tar.Header{link("l", "../victim/f"), file("l")}, false},
		"hard link up":      {[]tar.Header{hard("h", "../victim/f"), file("h")}, true},
		"hard link":         {[]tar.Header{link("l", "../victim"), hard("h", "l/f"), file("h")}, true},
		"directory on link": {[]tar.Header{link("l", "../victim"), {Typeflag: tar.TypeDir, Name: "l/", Mode: 0o777}}, true},
		"top is a file":     {[]tar.Header{file(".")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, inRoot := range []bool{false, true} {
				outside := t.TempDir()
				root, victim := filepath.Join(outside, "root"), filepath.Join(outside, "victim")
				check(t, os.MkdirAll(filepath.Join(root, "to"), 0o755), os.MkdirAll(filepath.Join(root, "victim"), 0o755), os.MkdirAll(filepath.Join(root, victim), 0o755))
				check(t, os.Mkdir(victim, 0o755), os.WriteFile(filepath.Join(victim, "f"), []byte("precious"), 0o600))
				for i := range c.archive {
					c.archive[i].Linkname = strings.Replace(c.archive[i].Linkname, "VICTIM", victim, 1)
				}
				o := ExtractOptions{Modes: 0o7777, OwnLinks: !inRoot}
				if inRoot {
					o.Root, o.At = opened(t, root), "/to"
				}
				_, err := Extract(context.Background(), entries(t, c.archive...), int(opened(t, filepath.Join(root, "to")).Fd()), o)
				if c.refused && err == nil {
					t.Error("was taken")
				}
				var st unix.Stat_t
				check(t, unix.Lstat(filepath.Join(victim, "f"), &st))
				if content, err := os.ReadFile(filepath.Join(victim, "f")); string(content) != "precious" || st.Mode&0o777 != 0o600 || st.Nlink != 1 {
					t.Errorf("the victim: %q, mode %o, %d links, %v", content, st.Mode, st.Nlink, err)
				}
				if names, err := os.ReadDir(victim); len(names) != 1 {
					t.Errorf("the victim has %v, %v", names, err)
				}
			}
		})
	}
}

func TestWhatIsThereIsReplacedButNoDirectory(t *testing.T) {
	to := t.TempDir()
	check(t, os.Mkdir(filepath.Join(to, "dir"), 0o755), os.WriteFile(filepath.Join(to, "file"), []byte("old"), 0o600), os.Symlink("file", filepath.Join(to, "link")))
	dir := int(opened(t, to).Fd())
	extract := func(h tar.Header) error {
		_, err := Extract(context.Background(), entries(t, h), dir, ExtractOptions{Modes: 0o7777})
		return err
	}
	check(t, extract(tar.Header{Typeflag: tar.TypeReg, Name: "link", Linkname: "new", Mode: 0o644}))
	if content, err := os.ReadFile(filepath.Join(to, "file")); string(content) != "old" {
		t.Errorf("it was written through the symlink: %q, %v", content, err)
	}
	var conflict *ConflictError
	if err := extract(tar.Header{Typeflag: tar.TypeReg, Name: "dir"}); !errors.As(err, &conflict) || !conflict.IsDir {
		t.Errorf("file on directory: %v", err)
	}
	if err := extract(tar.Header{Typeflag: tar.TypeDir, Name: "file"}); !errors.As(err, &conflict) || conflict.IsDir {
		t.Errorf("directory on file: %v", err)
	}
	if err := extract(tar.Header{Typeflag: tar.TypeReg, Name: "file/below"}); err == nil {
		t.Error("a file below a file")
	}
}

func TestACutArchiveIsAnError(t *testing.T) {
	whole := entries(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Linkname: strings.Repeat("x", 5000), Mode: 0o644}).Bytes()
	_, err := Extract(context.Background(), bytes.NewReader(whole[:2000]), int(opened(t, t.TempDir()).Fd()), ExtractOptions{})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Extract(ctx, bytes.NewReader(whole), int(opened(t, t.TempDir()).Fd()), ExtractOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzExtract has any archive extracted beside a victim.
func FuzzExtract(f *testing.F) {
	add := func(headers ...tar.Header) { f.Add(entries(f, headers...).Bytes(), true) }
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../victim"}, tar.Header{Typeflag: tar.TypeReg, Name: "l/f", Linkname: "evil"})
	add(tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "../victim/f"}, tar.Header{Typeflag: tar.TypeReg, Name: "h", Linkname: "evil"})
	add(tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o700}, tar.Header{Typeflag: tar.TypeFifo, Name: "d/p"}, tar.Header{Typeflag: tar.TypeChar, Name: "c"})
	f.Add([]byte("no archive"), false)
	f.Fuzz(func(t *testing.T, archive []byte, inRoot bool) {
		outside := t.TempDir()
		root, victim := filepath.Join(outside, "root"), filepath.Join(outside, "victim")
		check(t, os.MkdirAll(filepath.Join(root, "to"), 0o755), os.Mkdir(victim, 0o755), os.WriteFile(filepath.Join(victim, "f"), []byte("precious"), 0o600))
		o := ExtractOptions{Modes: 0o7777, OwnLinks: !inRoot}
		if inRoot {
			o.Root, o.At = opened(t, root), "/to"
		}
		_, _ = Extract(context.Background(), bytes.NewReader(archive), int(opened(t, filepath.Join(root, "to")).Fd()), o)
		content, err := os.ReadFile(filepath.Join(victim, "f"))
		above, aboveErr := os.ReadDir(outside)
		inside, insideErr := os.ReadDir(victim)
		check(t, err, aboveErr, insideErr)
		if string(content) != "precious" || len(above) != 2 || len(inside) != 1 {
			t.Fatalf("outside has changed: %q, %v, %v", content, above, inside)
		}
		// Modes such as 000 keep an ordinary user from removing it again.
		_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
}
