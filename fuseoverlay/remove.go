package fuseoverlay

import (
	"errors"
	"fmt"

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

// RemoveImage removes an image, and those of its layers that no other image
// has. needed is asked before, when no container can get the image any more, and
// its error is returned; it may be nil.
func (s *Store) RemoveImage(id string, needed func() error) error {
	unkeep, err := s.flock(imagesLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unkeep()
	if needed != nil {
		if err := needed(); err != nil {
			return err
		}
	}
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.store.DeleteImage(id, true); errors.Is(err, storage.ErrImageUnknown) || errors.Is(err, storage.ErrNotAnImage) {
		return fmt.Errorf("%w: %s", ErrNoImage, id)
	} else if err != nil {
		return fmt.Errorf("remove image %s: %w", id, err)
	}
	return nil
}
