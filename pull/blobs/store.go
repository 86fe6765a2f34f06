// Package blobs keeps the blobs of images by their digests, so that what was
// pulled can be pushed, saved and served with the very bytes it came with.
//
// A directory holds sha256/HEX, a blob as it came; sha256/HEX.zst, one that came
// uncompressed and lies here packed, read back exact; partial/HEX, what has
// come of one that is being fetched, locked by who fetches it; and
// partial/tmp-*, what is being put; and notes/HEX, what is remembered of a blob.
//
// Nothing is synced, as layers are: a blob can be had again. Instead each is
// compared with its digest whenever it is read to its end, and one that a power
// cut or the disk has damaged is removed then and was never there. Any number of
// processes may use a directory at once, with no lock but those on the files of
// partial/.
//
// It knows no registries, no images and no layers. Package pull calls it, and
// the command line for what push, save and serve read; it runs in the worker and
// in the user's own process alike.
package blobs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rootlet/internal/reserve"
	"rootlet/pull/grammar"
)

// Store is a directory of blobs. Any number of goroutines may use it.
type Store struct {
	dir  string
	keep bool // damaged blobs stay
	free int  // percent of the disk that stay free; see KeepFree

	others *others // nil: none
}

// Keeping is the same store, to whose reader a damaged blob is an error and no
// more: for who only looks.
func (s *Store) Keeping() *Store {
	return &Store{dir: s.dir, keep: true, free: s.free, others: s.others}
}

// KeepFree is the same store, which takes no blob into so many percent of the disk,
// the limit free-disk; without it, or with 0, it has the default.
func (s *Store) KeepFree(percent int) *Store {
	return &Store{dir: s.dir, keep: s.keep, free: percent, others: s.others}
}

// watch looks after the disk while something is written to a file of the store.
func (s *Store) watch(f *os.File) *reserve.Watch { return reserve.On(int(f.Fd()), s.free) }

const (
	wholeDir   = "sha256"
	partialDir = "partial"
	packedExt  = ".zst"
)

// ErrDamaged says that a blob was not, or no longer, what its digest says. It is
// gone.
var ErrDamaged = errors.New("the stored blob is damaged")

// Open opens the store in dir, making it where it does not exist.
func Open(dir string) (*Store, error) {
	for _, sub := range []string{wholeDir, partialDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open blobs: %w", err)
		}
	}
	return &Store{dir: dir}, nil
}

// Has reports whether the blob is there, here or in another's directory.
func (s *Store) Has(digest string) bool {
	path, err := s.whole(digest)
	if err != nil {
		return false
	}
	if s.others.has(filepath.Base(path)) {
		return true
	}
	for _, p := range []string{path, path + packedExt} {
		if st, err := os.Lstat(p); err == nil && st.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// Remove removes the blob, whole or partly fetched. That it is not there is no
// error. Who reads it reads on.
func (s *Store) Remove(digest string) error {
	hex, err := digits(digest)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, wholeDir, hex)
	return errors.Join(gone(path), gone(path+packedExt), s.dropPartial(hex), s.dropNotes(hex))
}

// Blob is one in the list.
type Blob struct {
	Digest string
	Stored int64 // bytes that it takes here
	Packed bool  // came uncompressed, is kept compressed
	Since  time.Time
}

// List lists the whole blobs, by digest.
func (s *Store) List() ([]Blob, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, wholeDir))
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	var list []Blob
	for _, e := range entries {
		hex, packed := strings.CutSuffix(e.Name(), packedExt)
		st, err := e.Info()
		if err != nil || !st.Mode().IsRegular() || !grammar.IsSHA256(hex) {
			continue // removed since, or not ours
		}
		list = append(list, Blob{Digest: algorithm + hex, Stored: st.Size(), Packed: packed, Since: st.ModTime()})
	}
	return list, nil
}

// whole is where the blob lies that is kept as it came.
func (s *Store) whole(digest string) (string, error) {
	hex, err := digits(digest)
	return filepath.Join(s.dir, wholeDir, hex), err
}

const algorithm = "sha256:"

// digits are a digest's own; whatever else a manifest may call a digest becomes
// no path (CVE-2024-3727).
func digits(digest string) (string, error) {
	hex, ok := strings.CutPrefix(digest, algorithm)
	if !ok || !grammar.IsSHA256(hex) {
		return "", fmt.Errorf("%q is no sha256 digest", digest)
	}
	return hex, nil
}

// gone removes a file that may not be there.
func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
