package blobs

import (
	"fmt"
	"os"
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
