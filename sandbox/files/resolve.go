// Package files copies between a container's root and tar streams, by the rules
// of `docker cp`.
//
// The root is a descriptor, of a container that may be running and whose program
// changes everything in it at any moment (CVE-2018-15664). Paths are resolved by
// the kernel in that root (openat2(2), RESOLVE_IN_ROOT), so that no symlink leads
// out, and nothing of /proc is followed; what was found once is used by its
// descriptor. It runs in a worker, in U1. The other end of the stream, the host's
// files, is the business of the command that the user typed, with his rights.
package files

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/archive"
	"rootlet/internal/linux"
)

// Root is a container's root, open.
type Root struct {
	Dir  *os.File
	Name string // of the container, for messages
	// ToU1 translates an owner; false says that he has no id here.
	ToU1 func(uid, gid int) (int, int, bool)
	// OneID says that there is only one owner here, and that no other is wanted.
	OneID bool
	// UID and GID translate owners to what the container knows them as; nil
	// keeps them.
	UID, GID func(uint32) uint32
}

// clean makes a path of the container's absolute. It keeps a slash or /. at the
// end, by which the user says that it is a directory.
func clean(given string) string {
	p := path.Clean("/" + given)
	switch {
	case p == "/":
		return p
	case strings.HasSuffix(given, "/."):
		return p + "/."
	case strings.HasSuffix(given, "/"):
		return p + "/"
	}
	return p
}

// AssertsDir says that a path can only mean a directory.
func AssertsDir(p string) bool {
	return strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || p == "."
}

// Base is the name that a path gives to what is copied: "." where that is only
// what is in the directory.
func Base(p string) string {
	if strings.HasSuffix(p, "/.") || path.Clean(p) == "/" {
		return "."
	}
	return path.Base(p)
}

// found is something in the root, open as O_PATH.
type found struct {
	*os.File
	unix.Stat_t
}

func (f *found) kind() uint32 { return f.Mode & unix.S_IFMT }

// open opens a path of the root, whatever it is.
func (r Root) open(p string, flags uint64) (*found, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := r.lookUp(p, &how)
	if err != nil {
		return nil, err
	}
	f := &found{File: os.NewFile(uintptr(fd), p)}
	if err := unix.Fstat(fd, &f.Stat_t); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lookUp repeats what openat2(2) gave up with EAGAIN, because something was
// renamed meanwhile.
func (r Root) lookUp(p string, how *unix.OpenHow) (fd int, err error) {
	const tries = 128
	for range tries {
		fd, err = unix.Openat2(int(r.Dir.Fd()), p, how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd, err
}

// NotFoundError says that a path leads nowhere.
type NotFoundError struct{ Path, Container string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("could not find the file %s in container %s", e.Path, e.Container)
}

// explain words what opening a path of the container failed with.
func (r Root) explain(p string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return &NotFoundError{Path: p, Container: r.Name}
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s:%s: not a directory", r.Name, p)
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%s:%s: too many symlinks, or one of /proc", r.Name, p)
	}
	return fmt.Errorf("open %s:%s: %w", r.Name, p, err)
}

// checkKernel refuses what only looks like files.
func (r Root) checkKernel(dir *os.File, p string) error {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return r.explain(p, err)
	}
	defer unix.Close(fd)
	if archive.IsKernelFS(fd) {
		return fmt.Errorf("%s:%s: belongs to the kernel and cannot be copied: use `rootlet exec` and read it there", r.Name, p)
	}
	return nil
}

// maxLinks is the kernel's own limit on symlinks in a path (path_resolution(7)).
const maxLinks = 40

// followLinks is where a path leads, through symlinks at its end: what is copied
// to one is made where it leads. The result is only a name: it is resolved in the root
// once more when it is used.
func (r Root) followLinks(p string) (string, error) {
	for range maxLinks {
		f, err := r.open(p, unix.O_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			return p, nil
		}
		if err != nil {
			return "", r.explain(p, err)
		}
		link, err := "", error(nil)
		if f.kind() == unix.S_IFLNK {
			link, err = linux.ReadLink(f.File)
		}
		f.Close()
		if err != nil || link == "" {
			return p, err
		}
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(p), link)
		}
		p = path.Clean(link)
	}
	return "", r.explain(p, unix.ELOOP)
}
