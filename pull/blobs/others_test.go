package blobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// theirs is another's directory with this blob in it.
func theirs(t *testing.T, name string, body []byte) (dir string, open *os.File) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), body, 0o444); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { open.Close() })
	return dir, open
}

func TestBlobOfOthers(t *testing.T) {
	body := content(3000)
	digest := digestOf(body)
	dir, open1 := theirs(t, digest[len(algorithm):], body)
	own := open(t)
	s := own.With([]*os.File{open1})
	if !s.Has(digest) || !s.Keeping().KeepFree(1).Has(digest) || own.Has(digest) || s.Has(digestOf(nil)) {
		t.Error("who has what is wrong")
	}
	fetched := Fetch{Digest: digest, Size: int64(len(body)), From: func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	}}
	r, fresh, err := s.Fetch(context.Background(), fetched)
	if err != nil || fresh {
		t.Fatalf("fetched anew: %v, %v", fresh, err)
	}
	got, err := io.ReadAll(r)
	r.Close()
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if list, _ := s.List(); len(list) > 0 {
		t.Errorf("it was copied: %v", list)
	}
	if err := s.Remove(digest); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, digest[len(algorithm):])); err != nil {
		t.Errorf("another's file: %v", err)
	}
}

// What another's directory has wrong is an error once; it stays there, and is fetched
// from where it comes from.
func TestDamagedBlobOfOthers(t *testing.T) {
	body := content(3000)
	digest := digestOf(body)
	dir, open1 := theirs(t, digest[len(algorithm):], append(bytes.Clone(body[:2999]), body[2999]^1))
	s := open(t).With([]*os.File{open1})
	fetch := Fetch{Digest: digest, Size: int64(len(body)), From: func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	}}
	r, _, err := s.Fetch(context.Background(), fetch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v", err)
	}
	r.Close()
	if _, err := os.Stat(filepath.Join(dir, digest[len(algorithm):])); err != nil {
		t.Errorf("another's file: %v", err)
	}
	r, fresh, err := s.Fetch(context.Background(), fetch)
	if err != nil || !fresh {
		t.Fatalf("the second time: fresh %v, %v", fresh, err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A fifo or a symlink in another's directory is no blob.
func TestNoBlobOfOthers(t *testing.T) {
	digest := digestOf([]byte("x"))
	dir, open1 := theirs(t, "x", []byte("x"))
	s := open(t).With([]*os.File{open1})
	path := filepath.Join(dir, digest[len(algorithm):])
	for _, make := range []func() error{
		func() error { return unix.Mkfifo(path, 0o644) },
		func() error { return os.Symlink("x", path) },
		func() error { return os.Mkdir(path, 0o755) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Read(digest); s.Has(digest) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
