package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { testns.Main(m) }

// member is one entry of a test's archive.
type member struct {
	tar.Header
	content string
}

func file(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

func dir(name string) member {
	return member{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func symlink(name, target string) member {
	return member{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func hardlink(name, target string) member {
	return member{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}, ""}
}

func device(name string, kind byte, major, minor int64) member {
	return member{tar.Header{Typeflag: kind, Name: name, Mode: 0o666, Devmajor: major, Devminor: minor}, ""}
}

func fifo(name string) member {
	return member{tar.Header{Typeflag: tar.TypeFifo, Name: name, Mode: 0o622}, ""}
}

func (m member) mode(mode int64) member { m.Mode = mode; return m }

func (m member) owner(uid, gid int) member { m.Uid, m.Gid = uid, gid; return m }

func (m member) at(t time.Time) member { m.ModTime = t; return m }

func (m member) xattr(name, value string) member {
	m.PAXRecords = map[string]string{paxXattr + name: value}
	return m
}

var someTime = time.Unix(1234567890, 123456789)

// archive writes the members as they are, however hostile.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		m.Size = int64(len(m.content))
		m.Format = tar.FormatPAX
		if m.ModTime.IsZero() {
			m.ModTime = someTime
		}
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// place is a layer's root, with something beside it that nobody may touch.
type testRoot struct {
	t      testing.TB
	path   string // of the layer's root
	victim string
	before unix.Stat_t
}

const victimContent = "hands off"

func newRoot(t testing.TB) *testRoot {
	t.Helper()
	top := t.TempDir()
	r := &testRoot{t: t, path: filepath.Join(top, "root"), victim: filepath.Join(top, "victim", "hello")}
	for _, d := range []string{r.path, filepath.Dir(r.victim)} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(r.victim, []byte(victimContent), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lstat(r.victim, &r.before); err != nil {
		t.Fatal(err)
	}
	return r
}

// unpack unpacks into the root.
func (r *testRoot) unpack(data []byte, o Options) (*Result, error) {
	r.t.Helper()
	fd, err := unix.Open(r.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer unix.Close(fd)
	return Unpack(context.Background(), bytes.NewReader(data), fd, o)
}

// must unpacks what has to go well.
func (r *testRoot) must(members ...member) *Result {
	r.t.Helper()
	res, err := r.unpack(archive(r.t, members...), Options{OneID: testns.OneID()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.check()
	return res
}

// check asserts that nothing outside the root has changed.
func (r *testRoot) check() {
	r.t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(r.victim, &st); err != nil {
		r.t.Fatalf("the file outside: %v", err)
	}
	if st.Nlink != r.before.Nlink || st.Mode != r.before.Mode || st.Uid != r.before.Uid || st.Ino != r.before.Ino || st.Mtim != r.before.Mtim || st.Ctim != r.before.Ctim {
		r.t.Errorf("the file outside has changed: %+v, was %+v", st, r.before)
	}
	if b, _ := os.ReadFile(r.victim); string(b) != victimContent {
		r.t.Errorf("the file outside now holds %q", b)
	}
	for _, d := range []string{filepath.Dir(r.victim), filepath.Dir(r.path)} {
		var names []string
		entries, _ := os.ReadDir(d)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != "hello" && got != "root victim" {
			r.t.Errorf("%s now holds %s", d, got)
		}
	}
}

// stat looks at a name in the root.
func (r *testRoot) stat(name string) unix.Stat_t {
	r.t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(r.path, name), &st); err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return st
}

func (r *testRoot) missing(name string) {
	r.t.Helper()
	if _, err := os.Lstat(filepath.Join(r.path, name)); !os.IsNotExist(err) {
		r.t.Errorf("%s is there (%v)", name, err)
	}
}

func (r *testRoot) content(name, want string) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.path, name))
	if err != nil || string(b) != want {
		r.t.Errorf("%s holds %.40q (%v), want %q", name, b, err, want)
	}
}

func (r *testRoot) xattr(name, attr string) string {
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(filepath.Join(r.path, name), attr, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
