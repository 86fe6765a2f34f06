package unpack

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// cachedDir is the directory that the last entry went to. Archives list a
// directory's files one after another, so that it saves most look-ups.
type cachedDir struct {
	name string
	fd   int // -1: none
}

// openParent opens the directory of an entry, making it where it is missing.
// The descriptor stays the unpacker's.
func (u *unpacker) openParent(dir string) (int, error) {
	if u.parent.fd >= 0 && u.parent.name == dir {
		return u.parent.fd, nil
	}
	fd, err := openInRoot(u.root, dir)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		fd, err = u.makeParents(dir)
	}
	if err != nil {
		return -1, fmt.Errorf("open parent: %w", err)
	}
	u.setParent(dir, fd)
	return fd, nil
}

// makeParents makes the directories on the way to dir that are missing, or
// that a whiteout of this same layer hides, and opens dir.
func (u *unpacker) makeParents(dir string) (int, error) {
	at, err := unix.Openat(u.root, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for end := 0; end < len(dir); {
		rest := strings.IndexByte(dir[end+1:], '/')
		if rest < 0 {
			end = len(dir)
		} else {
			end += 1 + rest
		}
		next, err := u.stepInto(at, dir[:end])
		unix.Close(at)
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

// stepInto opens the directory name, whose parent is open as above, and makes it
// where nothing is there or a whiteout.
func (u *unpacker) stepInto(above int, name string) (int, error) {
	fd, err := openInRoot(u.root, name)
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
		return fd, err
	}
	_, base := split(name)
	var st unix.Stat_t
	missing := errors.Is(unix.Fstatat(above, base, &st, unix.AT_SYMLINK_NOFOLLOW), unix.ENOENT)
	if !missing && !isWhiteout(&st) {
		return -1, fmt.Errorf("%q is no directory of this layer: %w", shorten(name), err)
	}
	if err := u.makeDir(place{name: name, dir: above, base: base}); err != nil {
		return -1, err
	}
	return openInRoot(u.root, name)
}

// openRetries bounds how often a look-up is repeated that met a rename
// (openat2(2), EAGAIN). Nobody else has a reason to rename in a layer's root.
const openRetries = 32

// openInRoot opens a directory as a process would see it whose root is the
// layer's: absolute symlinks and ".." stay inside (RESOLVE_IN_ROOT, Linux 5.6),
// and nothing under /proc/PID is followed.
func openInRoot(root int, name string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range openRetries {
		fd, err := unix.Openat2(root, name, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

func (u *unpacker) setParent(name string, fd int) {
	u.forgetParent()
	u.parent = cachedDir{name: name, fd: fd}
}

func (u *unpacker) forgetParent() {
	if u.parent.fd >= 0 {
		unix.Close(u.parent.fd)
	}
	u.parent = cachedDir{fd: -1}
}

// forgetParentUnless drops the cached parent before something is removed that
// may have been on the way to it. The one that is in use right now stays open;
// what is removed lies in it, so its own name leads there still.
func (u *unpacker) forgetParentUnless(inUse int) {
	if u.parent.fd != inUse {
		u.forgetParent()
	}
}
