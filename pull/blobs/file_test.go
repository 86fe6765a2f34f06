package blobs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileAndShare(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // foo
	if _, err := s.File(digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is there: %v", err)
	}
	with := filepath.Join(dir, "foo")
	if err := os.WriteFile(with, []byte("foo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Share(digest, with); err != nil || s.Has(digest) {
		t.Errorf("share made a blob that was not there: %v", err)
	}
	if err := s.Put(digest, 3, strings.NewReader("foo")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Share(digest, with); err != nil {
			t.Fatal(err)
		}
	}
	f, err := s.File(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "foo" {
		t.Errorf("%q, %v", text, err)
	}
	one, _ := f.Stat()
	if other, err := os.Stat(with); err != nil || !os.SameFile(one, other) {
		t.Errorf("two files: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "blobs", partialDir)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
