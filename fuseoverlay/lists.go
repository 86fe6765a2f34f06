package fuseoverlay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/ioutils"
	"go.podman.io/storage/pkg/lockfile"
)

// containers/storage keeps two lists: of images and of layers. What it cannot do
// with them is done here, under its own locks, so that every process that has
// the store open sees it: to take an image away and leave its layers, and to mend
// what is damaged.

// editImages rewrites the list of images.
func (s *Store) editImages(change func([]storage.Image) []storage.Image) error {
	path := filepath.Join(s.config.GraphRoot, imagesFile)
	lock, err := lockList(path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	list, err := View{GraphRoot: s.config.GraphRoot}.records()
	if err != nil {
		return err
	}
	return writeList(lock, path, change(list))
}

// lockList locks a list as containers/storage does: images.lock beside
// images.json.
func lockList(path string) (*lockfile.LockFile, error) {
	lock, err := lockfile.GetLockFile(lockName(path))
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	lock.Lock()
	return lock, nil
}

// writeList replaces a list whole. The lock's word of it comes first, as
// containers/storage has it: a process that dies in between makes others read
// once too often, and not once too seldom.
func writeList[T any](lock *lockfile.LockFile, path string, list []T) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if _, err := lock.RecordWrite(); err != nil {
		return fmt.Errorf("%q: %w", lockName(path), err)
	}
	if err := ioutils.AtomicWriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

func lockName(path string) string { return strings.TrimSuffix(path, ".json") + ".lock" }

// The lists' copies, below the graph root: what is left of the names where a list
// is damaged. They are as new as the last image that came, went or was named.
const (
	imagesCopy = "images.json"
	layersCopy = "layers.json"
)

// keepCopies copies the lists. That it cannot costs nothing but the copies. The
// caller has the commit lock, so that a copy on its way may have a name that the
// next one takes again, whoever dies; it is not synced, unlike the lists.
func (s *Store) keepCopies() {
	for from, to := range map[string]string{imagesFile: imagesCopy, layersFile: layersCopy} {
		text, err := os.ReadFile(filepath.Join(s.config.GraphRoot, from))
		if err != nil {
			continue
		}
		coming := s.path(to) + ".new"
		if err = os.WriteFile(coming, text, 0o600); err == nil {
			err = os.Rename(coming, s.path(to))
		}
		if err != nil {
			_ = os.Remove(coming)
		}
	}
}
