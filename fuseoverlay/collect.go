package fuseoverlay

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Collect removes the layers that no image has and returns their ids, and calls
// alone, unless something is being brought in.
func (s *Store) Collect(alone func() error) ([]string, error) {
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.collect(alone)
}

// collect is Collect for who has the commit lock.
func (s *Store) collect(alone func() error) ([]string, error) {
	unlock, ok, err := s.tryInstallAlone()
	if err != nil || !ok {
		return nil, err
	}
	defer unlock()
	removed, err := s.removeOrphansLocked()
	return removed, errors.Join(err, alone())
}

// unrecorded lists the images whose files are there and whose record is not; of
// those that were being removed it takes the files away.
func (s *Store) unrecorded(images []storage.Image) ([]string, error) {
	dirs, err := filepath.Glob(s.imageDir("[0-9a-f]*"))
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, dir := range dirs {
		id := filepath.Base(dir)
		if slices.ContainsFunc(images, func(i storage.Image) bool { return i.ID == id }) {
			continue
		}
		if exists(filepath.Join(dir, configKey)) && !exists(filepath.Join(dir, removedMark)) {
			lost = append(lost, id)
		} else if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
