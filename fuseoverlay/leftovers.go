package fuseoverlay

import (
	"errors"
	"os"
	"path/filepath"
)

// removeLeftovers removes what processes that died have left on the way to an
// image. The caller has the install lock to itself, and the commit lock.
func (s *Store) removeLeftovers() error {
	pruneStaging(s.path("staging"))
	return errors.Join(s.removeTemporaries(), s.mendShortNames(), s.unmarkImages())
}

// removeTemporaries removes what processes that died while they wrote a list or
// an image's data have left; containers/storage never does. Everything but
// the lists is written under the commit lock.
func (s *Store) removeTemporaries() error {
	images := filepath.Dir(imagesFile)
	return errors.Join(
		s.removeTemporariesIn(filepath.Join(images, "*"), ""),
		s.removeTemporariesIn(images, imagesFile),
		s.removeTemporariesIn(filepath.Dir(layersFile), layersFile),
	)
}

// removeTemporariesIn does so in one directory, under the lock of the list that
// is there, if one is.
func (s *Store) removeTemporariesIn(dir, list string) error {
	pattern := filepath.Join(s.config.GraphRoot, dir, ".tmp-*") // ioutils.AtomicWriteFile's
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return err
	}
	if list != "" {
		lock, err := lockList(filepath.Join(s.config.GraphRoot, list))
		if err != nil {
			return err
		}
		defer lock.Unlock()
		if found, err = filepath.Glob(pattern); err != nil {
			return err
		}
	}
	var errs []error
	for _, path := range found {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// mendShortNames has each layer have the one short name (in the store's directory
// l) that it notes. A name is made before the note, so that a process that dies in
// between leaves one which nobody finds again. One that dies while it writes the
// note leaves that empty, and with such a layer containers/storage 1.64 removes
// the directory with all names. rootlet does not need them; podman may.
func (s *Store) mendShortNames() error {
	names, err := filepath.Glob(filepath.Join(s.layers, "l", "*"))
	if err != nil {
		return err
	}
	layers, err := s.store.Layers()
	if err != nil || len(names) == len(layers) {
		return err
	}
	noted := map[string]bool{}
	for _, l := range layers {
		note, err := os.ReadFile(filepath.Join(s.layers, l.ID, "link"))
		if err != nil || len(note) == 0 || filepath.Base(string(note)) != string(note) {
			continue // for `system check`
		}
		name := filepath.Join(s.layers, "l", string(note))
		noted[name] = true
		if err := os.Symlink(filepath.Join("..", l.ID, "diff"), name); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	for _, name := range names {
		if noted[name] {
			continue
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
