package fuseoverlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rootlet/fuseoverlay/tree"

	"golang.org/x/sys/unix"
)

// A staging area is a directory that holds one layer until it is committed. It
// is locked as long as the process that works on it lives; one without a lock
// was left by a crash and goes with the next area that is made.
//
// containers/storage has staging directories of its own, but removes those of a
// crash only in Shutdown, which would also unmount the store's directory.
type stagingArea struct {
	path string
	lock *os.File // nil once removed
}

// stagingDir is the directory that staging areas are in.
const stagingDir = "staging"

// layerDir is where the layer is unpacked.
func (a *stagingArea) layerDir() string { return filepath.Join(a.path, "diff") }

// newStagingArea makes one, and removes what crashes have left.
func (s *Store) newStagingArea() (*stagingArea, error) {
	base := s.path(stagingDir)
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	spread(base)
	pruneStaging(base)
	for {
		path, err := os.MkdirTemp(base, "layer-")
		if err != nil {
			return nil, err
		}
		lock, err := lockDir(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EWOULDBLOCK) {
			continue // another process took it for a crash's before it was locked
		}
		if err != nil {
			return nil, err
		}
		a := &stagingArea{path: path, lock: lock}
		if err := os.Mkdir(a.layerDir(), 0o700); err == nil {
			return a, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, a.remove())
		}
		lock.Close()
	}
}

// topDir is FS_TOPDIR_FL of linux/fs.h, the attribute T of chattr(1).
const topDir = 0x20000

// spread tells the file system that the directories in dir have nothing to do with
// each other, best effort. ext4 then puts each layer into the emptiest of its block
// groups, and not all of them into that of the store: layers that are unpacked at
// once do not meet in one group, nor, where there is no journal, in one in which
// files were removed just now, whose inodes it passes over one by one, for each
// file that is made (recently_deleted in fs/ext4/ialloc.c).
func spread(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil && flags&topDir == 0 {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir)
	}
}

// remove removes the area and all that is in it, once.
func (a *stagingArea) remove() error {
	if a.lock == nil {
		return nil
	}
	err := RemoveTree(a.path)
	a.lock.Close()
	a.lock = nil
	return err
}

// pruneStaging removes the areas that nobody holds.
func pruneStaging(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(base, e.Name())
		if lock, err := lockDir(path); err == nil {
			_ = RemoveTree(path)
			lock.Close()
		}
	}
}

// lockDir takes the lock of a directory; it does not wait.
func lockDir(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return f, nil
}

// RemoveTree deletes a directory and all that is in it, whatever modes, owners
// and depth that has. That it does not exist is no error.
func RemoveTree(dir string) error {
	above, err := unix.Open(filepath.Dir(dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", filepath.Dir(dir), err)
	}
	defer unix.Close(above)
	return tree.RemoveAt(above, filepath.Base(dir))
}
