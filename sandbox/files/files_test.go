package files

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPaths(t *testing.T) {
	for given, want := range map[string][2]string{
		"/":          {"/", "."},
		"etc":        {"/etc", "etc"},
		"/etc/":      {"/etc/", "etc"},
		"/etc/.":     {"/etc/.", "."},
		"/../../etc": {"/etc", "etc"},
		"/a/b/..":    {"/a", ".."},
		".":          {"/", "."},
	} {
		if got := [2]string{clean(given), Base(given)}; got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}

// root is a container's root made of a directory: dir/, file, pipe, and links.
func root(t *testing.T) (Root, string) {
	t.Helper()
	outside := t.TempDir()
	dir := filepath.Join(outside, "root")
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "dir/sub"), 0o755), os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o644),
		unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.WriteFile(filepath.Join(outside, "victim"), []byte("precious"), 0o600))
	for link, target := range map[string]string{"todir": "/dir", "tofile": "file", "dangling": "/dir/new", "out": "../../victim", "loop": "loop", "gone": "/no/where"} {
		err = errors.Join(err, os.Symlink(target, filepath.Join(dir, link)))
	}
	fd, openErr := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err = errors.Join(err, openErr); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), dir)
	t.Cleanup(func() { f.Close() })
	return Root{Dir: f, Name: "c", ToU1: func(uid, gid int) (int, int, bool) { return -1, -1, false }, OneID: true}, dir
}

// Docker's rules, as its client and daemon decide them (docker cp --help, and
// pkg/archive/copy.go of moby).
func TestWhereACopyGoes(t *testing.T) {
	r, _ := root(t)
	for _, c := range []struct {
		in       In
		dir, as  string
		mustFail string
	}{
		{In{Path: "/dir", Base: "f"}, "/dir", "f", ""},
		{In{Path: "/dir/", Base: "d", IsDir: true}, "/dir/", "d", ""},
		{In{Path: "dir", Base: ".", IsDir: true}, "/dir", ".", ""},
		{In{Path: "/todir", Base: "f"}, "/todir", "f", ""},
		{In{Path: "/file", Base: "f"}, "/", "file", ""},
		{In{Path: "/tofile", Base: "f"}, "/", "file", ""},
		{In{Path: "/new", Base: "f"}, "/", "new", ""},
		{In{Path: "/new", Base: ".", IsDir: true}, "/", "new", ""},
		{In{Path: "/new/", Base: "d", IsDir: true}, "/", "new", ""},
		{In{Path: "/dangling", Base: "f"}, "/dir", "new", ""},
		{In{Path: "/", Base: "f"}, "/", "f", ""},
		{In{Path: "/new/", Base: "f"}, "", "", "no such directory"},
		{In{Path: "/file/", Base: "f"}, "", "", "not a directory"},
		{In{Path: "/file", Base: "d", IsDir: true}, "", "", "cannot copy a directory to a file"},
		{In{Path: "/no/where", Base: "f"}, "", "", "could not find the file /no in container c"},
		{In{Path: "/gone", Base: "f"}, "", "", "could not find the file /no in container c"},
		{In{Path: "/pipe", Base: "f"}, "", "", "must be a directory or a regular file"},
		{In{Path: "/loop", Base: "f"}, "", "", "too many symlinks"},
		{In{Path: "/out", Base: "f"}, "/", "victim", ""}, // the container's own /victim
		{In{Path: "/dir", Archive: true}, "/dir", "", ""},
		{In{Path: "/file", Archive: true}, "", "", "must be a directory"},
		{In{Path: "/new", Archive: true}, "", "", "could not find the file /new in container c"},
	} {
		got, err := r.target(c.in)
		if c.mustFail != "" {
			if err == nil || !strings.Contains(err.Error(), c.mustFail) {
				t.Errorf("%+v: %v, want %s", c.in, err, c.mustFail)
			}
			continue
		}
		if err != nil || got.path != c.dir || got.as != c.as {
			t.Errorf("%+v: %s, %s, %v; want %s, %s", c.in, got.path, got.as, err, c.dir, c.as)
		}
		if err == nil {
			got.dir.Close()
		}
	}
}

func TestNothingIsReadBeforeTheTargetIsGood(t *testing.T) {
	r, _ := root(t)
	told := false
	_, err := r.CopyIn(context.Background(), In{Path: "/no/where"}, func(Target) error { told = true; return nil }, strings.NewReader(""))
	if err == nil || told {
		t.Errorf("got %v; the command was told to begin: %v", err, told)
	}
}

func TestThereAndBack(t *testing.T) {
	r, dir := root(t)
	var b bytes.Buffer
	info := Info{}
	if err := r.CopyOut(context.Background(), Out{Path: "/todir/", As: "copy"}, func(i Info) error { info = i; return nil }, &b); err != nil || !info.IsDir {
		t.Fatalf("%+v, %v", info, err)
	}
	_, err := r.CopyIn(context.Background(), In{Path: "/dir", Base: "copy", IsDir: true}, func(Target) error { return nil }, &b)
	if _, statErr := os.Stat(filepath.Join(dir, "dir/copy/sub")); err != nil || statErr != nil {
		t.Error(err, statErr)
	}
	for _, p := range []string{"/nothing", "/gone/x", "/loop/x", "/out"} {
		b.Reset()
		err := r.CopyOut(context.Background(), Out{Path: p, FollowLink: true}, func(Info) error { return nil }, &b)
		if err == nil || strings.Contains(b.String(), "precious") {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestOwners(t *testing.T) {
	r := Root{ToU1: func(uid, gid int) (int, int, bool) { return uid + 1, gid + 1, uid < 100 }}
	if uid, gid, err := r.containerRoot(nil); uid != 1 || gid != 1 || err != nil {
		t.Errorf("root: %d:%d, %v", uid, gid, err)
	}
	if uid, gid, err := r.owner(&tar.Header{Uid: 7, Gid: 8}); uid != 8 || gid != 9 || err != nil {
		t.Errorf("7:8: %d:%d, %v", uid, gid, err)
	}
	if _, _, err := r.owner(&tar.Header{Uid: 1000}); err == nil {
		t.Error("an owner without an id was taken")
	}
	r.OneID = true
	if uid, _, err := r.owner(&tar.Header{Uid: 1000}); uid != -1 || err != nil {
		t.Errorf("with one id: %d, %v", uid, err)
	}
}
