// Package tree copies and removes directory trees whose contents nobody vouches
// for: by descriptors, following no symlink, whatever depth and modes they have.
//
// It knows layers only so far as to copy several of them on top of each other.
// fuseoverlay calls it, in the processes that work in U1.
package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxOpen bounds the descriptors that removing needs: what lies deeper is first
// moved up to the top of the tree.
const maxOpen = 128

// RemoveAt removes base in the directory dir, and all that is in it. That it
// does not exist is no error.
func RemoveAt(dir int, base string) error {
	err := unlinkAt(dir, base)
	if err == nil || !errors.Is(err, unix.EISDIR) {
		return err
	}
	r := &remover{top: dir}
	for {
		if err := r.removeDir(dir, base, 0); err != nil {
			return fmt.Errorf("remove %q: %w", base, err)
		}
		if len(r.moved) == 0 {
			return nil
		}
		base = r.moved[len(r.moved)-1]
		r.moved = r.moved[:len(r.moved)-1]
	}
}

// remover remembers the subtrees that it had to move out of the depth.
type remover struct {
	top   int
	moved []string
	count int
}

// removeDir empties and removes one directory.
func (r *remover) removeDir(dir int, base string, depth int) error {
	fd, err := openDir(dir, base)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	for {
		const batch = 1024
		names, err := f.Readdirnames(batch)
		for _, name := range names {
			if err := r.removeEntry(fd, name, depth); err != nil {
				return err
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			break
		}
	}
	err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOTEMPTY) {
		// A directory that changes while it is read may hide an entry: once more.
		if _, seekErr := f.Seek(0, 0); seekErr != nil {
			return seekErr
		}
		return r.retry(dir, base, depth, f)
	}
	return ignoreMissing(err)
}

// retry goes over a directory a second time, and then gives up on it.
func (r *remover) retry(dir int, base string, depth int, f *os.File) error {
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.removeEntry(int(f.Fd()), name, depth); err != nil {
			return err
		}
	}
	return ignoreMissing(unix.Unlinkat(dir, base, unix.AT_REMOVEDIR))
}

// removeEntry removes one name, or moves it up when it lies too deep.
func (r *remover) removeEntry(dir int, name string, depth int) error {
	err := unlinkAt(dir, name)
	if err == nil || !errors.Is(err, unix.EISDIR) {
		return err
	}
	if depth < maxOpen {
		return r.removeDir(dir, name, depth+1)
	}
	for {
		r.count++
		up := ".rootlet-removing-" + strconv.Itoa(r.count)
		err := unix.Renameat2(dir, name, r.top, up, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return ignoreMissing(err)
		}
		r.moved = append(r.moved, up)
		return nil
	}
}

// unlinkAt removes anything but a directory; for that it returns EISDIR, also
// where the kernel says EPERM (POSIX).
func unlinkAt(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EISDIR) {
		var st unix.Stat_t
		if statErr := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); statErr == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return unix.EISDIR
		}
	}
	return err
}

// openDir opens a directory for reading. One whose mode forbids that, to a
// process without capabilities, gets another mode first.
func openDir(dir int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	if !errors.Is(err, unix.EACCES) {
		return fd, err
	}
	if err := unix.Fchmodat(dir, name, 0o700, 0); err != nil {
		return -1, err
	}
	return unix.Openat(dir, name, flags, 0)
}

func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
