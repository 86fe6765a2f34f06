package fuseoverlay

import (
	"errors"
	"fmt"
	"slices"

	"rootlet/fuseoverlay/tree"
	"rootlet/fuseoverlay/unpack"

	"golang.org/x/sys/unix"
)

// inherit makes the directories that the layer only implies look as in the
// layers below. In an overlay the topmost layer that has a directory says how
// it looks, so that /tmp would lose its mode to a layer that adds /tmp/x
// without an entry for /tmp.
func (l *StagedLayer) inherit(parent string) error {
	below, err := l.store.openChain(parent)
	if err != nil {
		return err
	}
	defer closeAll(below)
	return l.inheritFrom(below)
}

// inheritFrom is inherit from layers that are open, the topmost first.
func (l *StagedLayer) inheritFrom(below []int) error {
	root, err := unix.Open(l.area.layerDir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	for _, name := range l.result.Implied {
		if err := inheritDir(root, below, name); err != nil {
			return fmt.Errorf("directory %q as in the layer below: %w", name, err)
		}
	}
	return nil
}

// inheritDir does so for one directory, from the topmost layer that has it.
func inheritDir(root int, below []int, name string) error {
	for _, layer := range below {
		from, err := openDirIn(layer, name)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil // a whiteout or a file: what is further down is hidden
		}
		if err != nil {
			return err
		}
		defer unix.Close(from)
		to, err := openDirIn(root, name)
		if err != nil {
			return err
		}
		defer unix.Close(to)
		return tree.CopyAttributes(from, to, tree.NotOverlays)
	}
	return nil
}

// openDirIn opens a directory of a layer; no symlink leads out of the layer.
func openDirIn(root int, name string) (int, error) {
	return unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// openChain opens the directories of the layer and of all below it that it does
// not hide, topmost first. The caller closes them.
func (s *Store) openChain(top string) ([]int, error) {
	dirs, err := s.chain(top)
	if err != nil {
		return nil, err
	}
	return openDirs(dirs)
}

func openDirs(dirs []string) ([]int, error) {
	fds := make([]int, 0, len(dirs))
	for _, dir := range dirs {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			closeAll(fds)
			return nil, &DamagedError{What: "layer " + dir, Err: err}
		}
		fds = append(fds, fd)
		if hidesAllBelow(dir) {
			break
		}
	}
	return slices.Clip(fds), nil
}

// hidesAllBelow says that a layer's very root is opaque. The overlay drivers
// heed such a mark on any directory but the root.
func hidesAllBelow(layer string) bool {
	mark := make([]byte, 1)
	n, err := unix.Lgetxattr(layer, unpack.OpaqueXattr, mark)
	return err == nil && n == 1 && mark[0] == 'y'
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
