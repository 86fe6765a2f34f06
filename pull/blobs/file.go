package blobs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File opens a blob that lies here as it came, for who hands it on to somebody
// who compares it with its digest: the kernel can send a file by itself. One that
// is packed has none, which is fs.ErrNotExist.
func (s *Store) File(digest string) (*os.File, error) {
	path, err := s.whole(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return f, nil
}

// Share has a blob that lies here as it came be one file with another of the same
// content, which nobody writes to. Where the file systems do not allow it there
// are two.
func (s *Store) Share(digest, with string) error {
	path, err := s.whole(digest)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	link := filepath.Join(s.dir, partialDir, temporaryPrefix+rand.Text())
	if os.Link(with, link) != nil {
		return nil
	}
	defer os.Remove(link) // rename(2) leaves it where the two are one already
	if err := os.Rename(link, path); err != nil {
		return fmt.Errorf("share blob: %w", err)
	}
	return nil
}
