package fuseoverlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// installLock is shared by all who bring images into the store (pull, load,
// import, commit), from before they look for layers until their image is
// recorded: in between their layers belong to no image.
const installLock = "install.lock"

// EnterInstall begins bringing an image in: from now on no layer goes. The
// function that it returns ends that, once the image is recorded or given up;
// the last to leave removes what nobody needs, whoever left it: layers without an
// image, and what is of those who died.
func (s *Store) EnterInstall() (leave func() error, err error) {
	f, err := s.openLock(installLock)
	if err != nil {
		return nil, err
	}
	if _, err := flock(f, unix.LOCK_SH); err != nil {
		f.Close()
		return nil, err
	}
	return func() error {
		defer f.Close()
		// The shared lock goes first (flock(2), conversion), so of two that leave
		// at once one finds nobody.
		if alone, err := flock(f, unix.LOCK_EX|unix.LOCK_NB); !alone || err != nil {
			return err
		}
		pruneStaging(s.path(stagingDir))
		s.clearLayerLocks()
		return s.removeOrphans()
	}, nil
}

// clearLayerLocks removes the locks of those who died with a layer reserved. The
// caller has the install lock to itself, so nobody has one.
func (s *Store) clearLayerLocks() {
	entries, _ := os.ReadDir(s.path(layerLocks))
	for _, e := range entries {
		_ = os.Remove(filepath.Join(s.path(layerLocks), e.Name()))
	}
}

// tryInstallAlone is for who removes layers: ok says that nobody brings an
// image in, nor will until unlock. It does not wait, and may be called with any
// other lock held. Where others are at it the layers are left to the last of them.
func (s *Store) tryInstallAlone() (unlock func(), ok bool, err error) {
	f, err := s.openLock(installLock)
	if err != nil {
		return nil, false, err
	}
	if ok, err := flock(f, unix.LOCK_EX|unix.LOCK_NB); !ok || err != nil {
		f.Close()
		return nil, false, err
	}
	return func() { f.Close() }, true, nil
}

// removeOrphans removes the layers that no image has, and what processes that died
// have left. The caller has the install lock to itself.
func (s *Store) removeOrphans() error {
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = s.removeOrphansLocked()
	return errors.Join(err, s.removeLeftovers())
}

// removeOrphansLocked is removeOrphans for who has the commit lock too. It says
// which they were.
func (s *Store) removeOrphansLocked() ([]string, error) {
	orphans, err := s.orphans()
	if err != nil {
		return nil, fmt.Errorf("look for layers without an image: %w", err)
	}
	var removed []string
	var errs []error
	for len(orphans) > 0 {
		var kept []string
		for _, id := range orphans {
			err := s.store.DeleteLayer(id)
			switch {
			case errors.Is(err, storage.ErrLayerHasChildren):
				kept = append(kept, id) // they go first
			case err == nil:
				removed = append(removed, id)
			case !errors.Is(err, storage.ErrLayerUnknown):
				errs = append(errs, fmt.Errorf("remove layer %s: %w", id, err))
			}
		}
		if len(kept) == len(orphans) {
			break // of what could not be removed
		}
		orphans = kept
	}
	return removed, errors.Join(errs...)
}

// orphans lists the layers that are in no image's chain. Where an image's files
// are there and its record is not, the list of images is damaged and does not say
// what is needed: then there are none.
func (s *Store) orphans() ([]string, error) {
	layers, err := s.store.Layers()
	if err != nil {
		return nil, err
	}
	images, err := s.store.Images()
	if err != nil {
		return nil, err
	}
	if lost, err := s.unrecorded(images); err != nil || len(lost) > 0 {
		return nil, err
	}
	parent := make(map[string]string, len(layers))
	for _, l := range layers {
		parent[l.ID] = l.Parent
	}
	needed := map[string]bool{"": true}
	for _, i := range images {
		for id := i.TopLayer; !needed[id]; id = parent[id] {
			needed[id] = true
		}
	}
	var orphans []string
	for i := len(layers) - 1; i >= 0; i-- { // children come after their parents
		if !needed[layers[i].ID] {
			orphans = append(orphans, layers[i].ID)
		}
	}
	return orphans, nil
}

// LockLayer reserves a layer that is not there for who is going to stage and
// commit it, so that no two do it at once. It does not wait: ok is false where
// another has it. The lock goes with the process that has it.
func (s *Store) LockLayer(chainID string) (unlock func(), ok bool, err error) {
	id, err := layerID(chainID)
	if err != nil {
		return nil, false, err
	}
	if err := os.Mkdir(s.path(layerLocks), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, false, err
	}
	f, err := s.openLock(filepath.Join(layerLocks, id))
	if err != nil {
		return nil, false, err
	}
	if ok, err := flock(f, unix.LOCK_EX|unix.LOCK_NB); !ok || err != nil {
		f.Close()
		return nil, false, err
	}
	if !isAt(f, f.Name()) {
		f.Close()
		return nil, false, nil // the one before has just removed it: ask again
	}
	return func() {
		_ = os.Remove(f.Name()) // under the lock: nobody else's
		f.Close()
	}, true, nil
}

// layerLocks is the directory of a lock per layer that is on its way.
const layerLocks = "layers"

// isAt says that an open file is the one that has this name.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}
