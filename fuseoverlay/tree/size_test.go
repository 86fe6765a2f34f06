package tree

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSize(t *testing.T) {
	top := t.TempDir()
	outside := filepath.Join(t.TempDir(), "big")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(outside, make([]byte, 1<<20), 0o600))
	must(os.MkdirAll(filepath.Join(top, "root/a/b"), 0o755))
	must(os.WriteFile(filepath.Join(top, "root/one"), make([]byte, 100), 0o600))
	must(os.WriteFile(filepath.Join(top, "root/a/two"), make([]byte, 20), 0o600))
	must(os.Link(filepath.Join(top, "root/a/two"), filepath.Join(top, "root/a/b/again")))
	must(os.Symlink("/1234", filepath.Join(top, "root/a/b/link")))
	must(os.Symlink(filepath.Dir(outside), filepath.Join(top, "root/a/dir")))
	must(unix.Mkfifo(filepath.Join(top, "root/fifo"), 0o600))
	want := int64(100 + 20 + 5 + len(filepath.Dir(outside)))
	at := open(t, top)
	if got, err := Size(at, "root", nil); err != nil || got != want {
		t.Errorf("%d, %v; want %d", got, err, want)
	}
	small := func(st *unix.Stat_t) bool { return st.Size == 20 }
	if got, err := Size(at, "root", small); err != nil || got != 20 {
		t.Errorf("the small ones: %d, %v", got, err)
	}
	if got, err := Size(at, "missing", nil); err != nil || got != 0 {
		t.Errorf("what is missing: %d, %v", got, err)
	}
	if _, err := Size(at, "root/one", nil); err == nil {
		t.Error("a file was read as a directory")
	}
}

// TestAllocated has a file that is all holes, and two names for one.
func TestAllocated(t *testing.T) {
	top := t.TempDir()
	at := open(t, top)
	holes := filepath.Join(top, "holes")
	if err := os.WriteFile(holes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(holes, 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(top, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, err := Allocated(at, ".", nil)
	if err != nil || before > 1<<20 {
		t.Fatalf("%d, %v", before, err)
	}
	full := filepath.Join(top, "d/full")
	if err := os.WriteFile(full, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(full, filepath.Join(top, "again")); err != nil {
		t.Fatal(err)
	}
	if got, err := Allocated(at, ".", nil); err != nil || got-before < 4<<20 || got-before > 5<<20 {
		t.Errorf("%d after %d, %v; want 4 MiB more", got, before, err)
	}
}

func TestSizeOfADeepTree(t *testing.T) {
	top := t.TempDir()
	at := open(t, top)
	dir := at
	for range 2 * maxDepth {
		if err := unix.Mkdirat(dir, "d", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(dir, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if dir != at {
			unix.Close(dir)
		}
		dir = next
	}
	unix.Close(dir)
	if err := os.WriteFile(filepath.Join(top, strings.Repeat("d/", 10), "f"), make([]byte, 7), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Size(at, "d", nil); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := Allocated(at, "d", nil); !errors.Is(err, ErrTooDeep) {
		t.Errorf("something of it was left out: %d, %v", got, err)
	}
	if err := RemoveAt(at, "d"); err != nil { // too deep for t.TempDir's own
		t.Error(err)
	}
}
