package changes

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
)

// looksSame compares all that stat(2) says of a file, and its attributes; of a
// directory its size and the number of its links are the file system's affair.
func (w *walk) looksSame(dir int, name string, st *unix.Stat_t, below *found) bool {
	uid, gid := st.Uid, st.Gid
	if w.UID != nil {
		uid = w.UID(uid)
	}
	if w.GID != nil {
		gid = w.GID(gid)
	}
	if st.Mode != below.Mode || uid != below.Uid || gid != below.Gid || st.Mtim != below.Mtim {
		return false
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFDIR && (st.Size != below.Size || st.Nlink > below.Nlink) {
		return false
	}
	if kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return true
	}
	own, ownErr := xattrs(dir, name)
	image, imageErr := xattrs(below.dir, name)
	return ownErr == nil && imageErr == nil && maps.EqualFunc(own, image, bytes.Equal)
}

// xattrs reads the attributes of a file or directory, but for what marks it as
// part of an overlay.
func xattrs(dir int, name string) (map[string][]byte, error) {
	fd, err := openReadable(dir, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := tree.ListXattrs(fd)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, name := range names {
		if !tree.NotOverlays(name) {
			continue
		}
		if all[name], err = tree.GetXattr(fd, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// openReadable opens a file or directory that has just been seen to be one; what
// a running container has put in its place is not waited for.
func openReadable(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
}

// sameFile says that a file of a copied root is as in the image.
func (w *walk) sameFile(dir int, name string, st *unix.Stat_t, below *found) (bool, error) {
	if !w.looksSame(dir, name, st, below) {
		return false, nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		own, ownErr := readLink(dir, name)
		image, imageErr := readLink(below.dir, name)
		return own == image, errors.Join(ownErr, imageErr)
	case unix.S_IFREG:
		if st.Size == 0 || w.untouched(st) {
			return true, nil
		}
		return sameContent(dir, below.dir, name)
	}
	return true, nil
}

// untouched says that nobody has changed a file since it was copied: the time of
// its last change is the kernel's own, and no program can set it back.
func (w *walk) untouched(st *unix.Stat_t) bool {
	if w.Copied.Sec == 0 {
		return false
	}
	return st.Ctim.Nano() < w.Copied.Nano()
}

func readLink(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", fmt.Errorf("readlink %q: %w", name, err)
	}
	return string(buf[:n]), nil
}

// sameContent compares two files of the same name.
func sameContent(dirA, dirB int, name string) (bool, error) {
	a, err := openFile(dirA, name)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := openFile(dirB, name)
	if err != nil {
		return false, err
	}
	defer b.Close()
	return tree.SameBytes(a, b)
}

func openFile(dir int, name string) (*os.File, error) {
	fd, err := openReadable(dir, name)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
