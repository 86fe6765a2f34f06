package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// openParent opens the directory of an entry, and makes it where it is missing.
// The descriptor stays the extraction's: entries come directory by directory.
func (x *extraction) openParent(dir string, h *tar.Header) (int, error) {
	if x.parent >= 0 && x.parentName == dir {
		return x.parent, nil
	}
	x.forget()
	fd, err := x.lookUp(dir)
	if errors.Is(err, unix.ENOENT) && dir != "." {
		if err := x.makeParent(dir, h); err != nil {
			return -1, err
		}
		fd, err = x.lookUp(dir)
	}
	if err != nil {
		return -1, fmt.Errorf("open directory %q: %w", dir, err)
	}
	x.parent, x.parentName = fd, dir
	return fd, nil
}

func (x *extraction) forget() {
	if x.parent >= 0 {
		unix.Close(x.parent)
	}
	x.parent = -1
}

// makeParent makes a directory that the archive has no entry for.
func (x *extraction) makeParent(dir string, h *tar.Header) error {
	const implied = 0o755
	above, err := x.openParent(path.Dir(dir), h)
	if err != nil {
		return err
	}
	return x.create(place{name: dir, dir: above, base: path.Base(dir)}, &tar.Header{
		Typeflag: tar.TypeDir, Name: dir, Mode: implied, ModTime: h.ModTime, Uid: h.Uid, Gid: h.Gid,
	})
}

// lookUp opens a directory of those that are extracted to: without a symlink on
// the way, or in the root to which its symlinks belong. Nothing under /proc/PID
// is followed, so that none leads into another process's root.
func (x *extraction) lookUp(dir string) (int, error) {
	fd, err := openAt(x.dir, dir, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if !errors.Is(err, unix.ELOOP) || x.options.Root == nil {
		return fd, err
	}
	return openAt(int(x.options.Root.Fd()), path.Join(x.options.At, dir), unix.RESOLVE_IN_ROOT)
}

// openAt opens a directory, however often someone else renames something while
// it is looked up (openat2(2), EAGAIN).
func openAt(root int, dir string, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS}
	const tries = 128
	for range tries {
		fd, err := unix.Openat2(root, dir, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}
