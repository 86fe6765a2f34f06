package fuseoverlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// imagesLock is shared by all who make a container of an image, until its record
// says which, and whole for the one who removes an image.
const imagesLock = "images.lock"

// KeepImages has images stay until the returned function is called. Whoever
// makes a container calls it before it looks for the image: between that and
// the container's record nobody else can see that the image is needed.
func (s *Store) KeepImages() (func(), error) { return s.flock(imagesLock, unix.LOCK_SH) }

// Removal says what of an image is to go.
type Removal struct {
	// Names chooses the names that it loses, of those that it has when nobody
	// else can change them. The image goes when it loses the last; nil takes all.
	Names func(*Image) ([]string, error)
	// Needed is asked before the image goes, when no container can get it any
	// more; its error is returned. It may be nil.
	Needed func(*Image) error
	// Alone is called when the image has gone and nothing is being brought in; it
	// may be nil. What belongs to an image beside its layers can go then.
	Alone func(gone *Image) error
}

// Removed is what has gone.
type Removed struct {
	Image  *Image   // as it was, with its manifest if that could be read
	Names  []string // that it has lost
	Whole  bool     // the image is gone
	Layers []string // the layers that went with it, the topmost first
}

// RemoveImage takes names from an image, or removes it, and those of its layers
// that no other has. While something is being installed layers stay, as it may be
// counting on them; who installs last takes them away. The image's own files need
// not be whole. ref is what Image takes.
func (s *Store) RemoveImage(ref string, r Removal) (Removed, error) {
	var gone Removed
	unkeep, err := s.flock(imagesLock, unix.LOCK_EX)
	if err != nil {
		return gone, err
	}
	defer unkeep()
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return gone, err
	}
	defer unlock()
	rec, err := s.find(ref)
	if err != nil {
		return gone, err
	}
	gone.Image = describe(rec)
	gone.Names = slices.Clone(rec.Names)
	if r.Names != nil {
		if gone.Names, err = r.Names(gone.Image); err != nil {
			return Removed{}, err
		}
	}
	defer s.keepCopies()
	if len(gone.Names) < len(rec.Names) {
		if err := s.store.RemoveNames(rec.ID, gone.Names); err != nil {
			return Removed{}, fmt.Errorf("untag image %s: %w", rec.ID, err)
		}
		return gone, nil
	}
	if r.Needed != nil {
		if err := r.Needed(gone.Image); err != nil {
			return Removed{}, err
		}
	}
	gone.Whole = true
	gone.Image.Manifest, _ = os.ReadFile(filepath.Join(s.imageDir(rec.ID), manifestKey))
	if err := s.dropImage(rec.ID); err != nil {
		return Removed{}, fmt.Errorf("remove image %s: %w", rec.ID, err)
	}
	gone.Layers, err = s.collect(func() error {
		if r.Alone == nil {
			return nil
		}
		return r.Alone(gone.Image)
	})
	return gone, err
}

// removedMark is in the directory of an image that is about to go, or that is to
// be put on the list: what is left of it, should this process die, is no image
// whose record was lost.
const removedMark = "removed"

// dropImage takes an image off the list, and then away; its layers stay.
func (s *Store) dropImage(id string) error {
	err := os.WriteFile(filepath.Join(s.imageDir(id), removedMark), nil, 0o600)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = s.editImages(func(list []storage.Image) []storage.Image {
		return slices.DeleteFunc(list, func(i storage.Image) bool { return i.ID == id })
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(s.imageDir(id))
}

// imageDir is where an image's config and manifest are.
func (s *Store) imageDir(id string) string {
	return filepath.Join(s.config.GraphRoot, filepath.Dir(imagesFile), id)
}

// TagImage gives an image one more name, which any other image that has it
// loses. ref is what Image takes.
func (s *Store) TagImage(ref, name string) (*Image, error) {
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rec, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	if err := s.store.AddNames(rec.ID, []string{name}); err != nil {
		return nil, fmt.Errorf("tag image %s as %s: %w", rec.ID, name, err)
	}
	if notes, given := ownName(rec, name); given {
		if err := s.store.SetMetadata(rec.ID, notes); err != nil {
			return nil, fmt.Errorf("tag image %s as %s: %w", rec.ID, name, err)
		}
	}
	s.keepCopies()
	return describe(rec), nil
}
