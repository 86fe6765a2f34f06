package blobs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rootlet/pull/grammar"
)

// Sweep removes the blobs that are not live (by digest) and at least olderThan
// old, what was partly fetched likewise, and what puts that died have left. What
// somebody works on stays. It returns the bytes that became free.
//
// A blob is not live while its image is on its way: whoever sweeps with little
// or no age makes sure that nobody pulls.
func (s *Store) Sweep(live map[string]bool, olderThan time.Duration) (int64, error) {
	list, err := s.List()
	if err != nil {
		return 0, err
	}
	before := time.Now().Add(-olderThan)
	var freed int64
	var errs []error
	for _, b := range list {
		if live[b.Digest] || b.Since.After(before) {
			continue
		}
		path, _ := s.whole(b.Digest) // its name in the list was one
		if b.Packed {
			path += packedExt
		}
		if err := gone(path); err != nil {
			errs = append(errs, err)
			continue
		}
		freed += b.Stored
		errs = append(errs, s.dropNotes(strings.TrimPrefix(b.Digest, algorithm)))
	}
	n, err := s.sweepPartial(before)
	return freed + n, errors.Join(append(errs, err)...)
}

// sweepPartial removes what nobody holds and that is old, or of a put: that
// begins from nothing again.
func (s *Store) sweepPartial(before time.Time) (int64, error) {
	dir := filepath.Join(s.dir, partialDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var freed int64
	var errs []error
	for _, e := range entries {
		st, err := e.Info()
		put := strings.HasPrefix(e.Name(), temporaryPrefix)
		if err != nil || !put && (!grammar.IsSHA256(e.Name()) || st.ModTime().After(before)) {
			continue
		}
		if ok, err := dropUnheld(filepath.Join(dir, e.Name())); err != nil {
			errs = append(errs, err)
		} else if ok {
			freed += st.Size()
		}
	}
	return freed, errors.Join(errs...)
}

// dropPartial removes what has come of a blob, unless somebody fetches it.
func (s *Store) dropPartial(hex string) error {
	_, err := dropUnheld(filepath.Join(s.dir, partialDir, hex))
	return err
}

// dropUnheld removes a file of partial/ that nobody has locked.
func dropUnheld(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if ok, err := lock(f); !ok || err != nil {
		return false, err
	}
	return true, gone(path)
}
