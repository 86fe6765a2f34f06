package fuseoverlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
)

// Hold keeps everybody from changing the store, until the returned function is called.
// It returns ErrInstalling where an image is being brought in. It needs no store that
// opens.
func Hold(c Config) (func(), error) {
	if _, err := os.Lstat(c.GraphRoot); errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	s := &Store{config: c}
	unkeep, err := s.flock(imagesLock, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	uninstall, alone, err := s.tryInstallAlone()
	if err != nil || !alone {
		unkeep()
		return nil, errors.Join(err, ErrInstalling)
	}
	uncommit, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		uninstall()
		unkeep()
		return nil, err
	}
	return func() { uncommit(); uninstall(); unkeep() }, nil
}

// CopyTree copies what is in the directory from to the directory to, as it is: owners,
// modes, times, attributes, hard links, holes, and what overlays mark. All of it is on
// the disk when it returns.
func CopyTree(from, to string, progress func(done, total int64)) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	var fds [2]int
	for i, dir := range []string{from, to} {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	c := tree.Copier{Exact: true, Progress: progress}
	if err := c.Merge([]int{fds[0]}, fds[1]); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	if err := unix.Syncfs(fds[1]); err != nil {
		return fmt.Errorf("sync %s: %w", to, err)
	}
	return nil
}

// LayerDir is where a store's layers are.
func (c Config) LayerDir() string { return filepath.Join(c.GraphRoot, driverName) }

// MarkLayers says of all layers in a scratch that they are there, whole, after they
// were copied to it.
func (c Config) MarkLayers() error {
	layers, err := View{GraphRoot: c.Lists}.Layers()
	if err != nil {
		return err
	}
	for id := range layers {
		if dir := filepath.Join(c.LayerDir(), id); exists(filepath.Join(dir, "diff")) {
			if err := c.markWhole(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownNames are a container's own files, as they stand in its directory or in a scratch.
func ownNames() []string { return []string{upperName, workName, treeName, copiedFile, emptyName} }

// CopyOwn copies a container's own files to another place: to a scratch, or with own
// and dir the same, back into its directory.
func CopyOwn(dir, to string) error {
	from := ownDir(dir)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if to != dir {
		return CopyTree(from, to, nil)
	}
	for _, name := range ownNames() {
		info, err := os.Lstat(filepath.Join(from, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.IsDir(): // the note of when it was copied
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(filepath.Join(dir, name), info.ModTime(), info.ModTime()); err != nil {
				return err
			}
			continue
		}
		if err := CopyTree(filepath.Join(from, name), filepath.Join(dir, name), nil); err != nil {
			return err
		}
	}
	return nil
}

// DropOwn removes what CopyOwn has put into a container's directory.
func DropOwn(dir string) error {
	var errs []error
	for _, name := range ownNames() {
		errs = append(errs, RemoveTree(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// Home has a container's own files be in its directory from now on.
func Home(dir string) error {
	err := os.Remove(filepath.Join(dir, placeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
