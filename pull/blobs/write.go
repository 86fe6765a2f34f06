package blobs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/internal/reserve"
)

// ErrMismatch says that what was to be put is not what it was said to be.
var ErrMismatch = errors.New("content differs from its digest or size")

// Put stores a blob as it comes. It must have that digest, and size bytes; a
// negative size is not known. One that is there already is not read.
func (s *Store) Put(digest string, size int64, r io.Reader) error {
	return s.put(digest, size, r, s.Create)
}

// PutTar is Put for what came uncompressed: it is kept packed.
func (s *Store) PutTar(digest string, size int64, r io.Reader) error {
	return s.put(digest, size, r, s.CreatePacked)
}

func (s *Store) put(digest string, size int64, r io.Reader, create func() (*Writer, error)) error {
	if _, err := digits(digest); err != nil {
		return err
	}
	if s.Has(digest) {
		return nil
	}
	w, err := create()
	if err != nil {
		return err
	}
	defer w.Close()
	if size >= 0 {
		r = io.LimitReader(r, size+1)
	}
	n, err := io.Copy(w, r)
	if err != nil {
		return fmt.Errorf("put blob %s: %w", digest, err)
	}
	if size >= 0 && n != size {
		return fmt.Errorf("put blob %s: %w: %d bytes, not %d", digest, ErrMismatch, n, size)
	}
	return w.Keep(digest)
}

// Writer takes a blob whose digest may be known only at its end. Nobody sees it
// before Keep.
type Writer struct {
	store  *Store
	file   *os.File  // nil once closed
	packed *packing  // nil: kept as it comes
	hash   hash.Hash // nil: see Unchecked
	size   int64
	disk   *reserve.Watch
}

// Create begins a blob that is kept as it comes.
func (s *Store) Create() (*Writer, error) {
	f, err := s.temporary()
	if err != nil {
		return nil, fmt.Errorf("new blob: %w", err)
	}
	return &Writer{store: s, file: f, hash: sha256.New(), disk: s.watch(f)}, nil
}

// CreatePacked begins one that comes uncompressed and is kept compressed.
func (s *Store) CreatePacked() (*Writer, error) {
	w, err := s.Create()
	if err != nil {
		return nil, err
	}
	if w.packed, err = newPacking(w.file); err != nil {
		return nil, errors.Join(fmt.Errorf("new blob: %w", err), w.Close())
	}
	return w, nil
}

// Unchecked is the same writer without a digest: who keeps the blob has compared
// it with its digest himself. It is worth a tenth of the load of an archive.
func (w *Writer) Unchecked() *Writer {
	w.hash = nil
	return w
}

// temporary makes a file that is locked as long as this process has it open; one
// without a lock was left by a crash (Sweep).
func (s *Store) temporary() (*os.File, error) {
	for {
		f, err := os.CreateTemp(filepath.Join(s.dir, partialDir), temporaryPrefix)
		if err != nil {
			return nil, err
		}
		if ok, err := lock(f); ok || err != nil {
			return f, err
		}
		f.Close() // a sweep was faster
	}
}

const temporaryPrefix = "tmp-"

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.disk.Take(int64(len(p))); err != nil {
		return 0, err
	}
	if w.hash != nil {
		w.hash.Write(p)
	}
	w.size += int64(len(p))
	if w.packed != nil {
		return w.packed.Write(p)
	}
	return w.file.Write(p)
}

// Digest is that of all that has been written, and Size its number of bytes.
func (w *Writer) Digest() string { return sum(w.hash) }

// Size is the number of bytes that have been written.
func (w *Writer) Size() int64 { return w.size }

// Keep puts the blob under its digest, which must be that.
func (w *Writer) Keep(digest string) error {
	path, err := w.store.whole(digest)
	if err != nil {
		return err
	}
	if w.hash != nil && w.Digest() != digest {
		return fmt.Errorf("put blob %s: %w: digest %s", digest, ErrMismatch, w.Digest())
	}
	if w.packed != nil {
		path += packedExt
		if err := w.packed.finish(w.size); err != nil {
			return fmt.Errorf("put blob %s: %w", digest, err)
		}
	}
	if err := os.Rename(w.file.Name(), path); err != nil {
		return fmt.Errorf("put blob %s: %w", digest, err)
	}
	f := w.file
	w.file = nil
	return f.Close()
}

// Close drops what was not kept.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(gone(w.file.Name()), w.file.Close())
	w.file = nil
	return err
}

// Adopt moves a file of the caller's, on the same file system, under the digest
// that its content must have. The file must not be written to any more.
func (s *Store) Adopt(digest, file string) error {
	path, err := s.whole(digest)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("put blob %s: %w", digest, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("put blob %s: %w", digest, err)
	}
	if got := sum(h); got != digest {
		return fmt.Errorf("put blob %s: %w: digest %s", digest, ErrMismatch, got)
	}
	if err := os.Rename(file, path); err != nil {
		return fmt.Errorf("put blob %s: %w", digest, err)
	}
	return nil
}

// lock locks an open file, unless another has it, or has removed or renamed it
// (false).
func lock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EWOULDBLOCK:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("lock %q: %w", f.Name(), err)
		}
		return isThere(f), nil
	}
}

// isThere says that the file still goes by its name.
func isThere(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(mine, there)
}
