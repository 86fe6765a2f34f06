package emulation

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/unpack"
)

// found is what a call is about, as a descriptor of ours that only names it (O_PATH).
type found struct{ fd int }

func (f found) close() { unix.Close(f.fd) }

// name leads to it, from the working directory, which is a /proc: attributes are not to be
// had by a descriptor that only names a file, before Linux 6.13.
func (f found) name() string { return "self/fd/" + strconv.Itoa(f.fd) }

// place is where a call says that its file is.
type place struct {
	dir   int    // a descriptor, or atCwd
	path  string // empty: dir itself
	flags uint64
}

// place reads where a call's file is.
func (r *receiver) place(dir int, at, flags uint64) (place, error) {
	p := place{dir: dir, flags: flags}
	if at == 0 && flags&emptyPath != 0 {
		return p, nil
	}
	var err error
	if p.path, err = r.path(at); err == nil && p.path == "" && flags&emptyPath == 0 {
		err = unix.ENOENT
	}
	return p, err
}

// find follows a path to its end, as who asks would, and not out of his container. It
// returns errKernel for what the kernel has to say itself.
func (r *receiver) find(p place) (found, error) {
	if p.path == "" {
		return r.open(r.fileAt(p.dir))
	}
	return r.walk(p.dir, p.path, p.flags)
}

// fileAt names a directory or file of who asks: his working directory, or a descriptor.
func (r *receiver) fileAt(dir int) string {
	if dir == atCwd {
		return r.file("cwd")
	}
	return r.file("fd/" + strconv.Itoa(dir))
}

// open opens what /proc has of who asks, and sees to it that it was his.
func (r *receiver) open(file string) (found, error) {
	fd, err := unix.Openat(r.proc, file, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = r.valid(); err == nil {
			return found{fd}, nil
		}
		unix.Close(fd)
		return found{}, err
	}
	if errors.Is(err, unix.ENOENT) {
		return found{}, unix.EBADF
	}
	return found{}, errKernel
}

// walk follows a path. One that begins at the root cannot leave that of who asks, though he
// may have another than the container (chroot(2)); one that does not cannot leave the
// container's, which is ours. Links that jump, as /proc has them, are not followed: they
// would lead by our rights.
func (r *receiver) walk(dir int, path string, flags uint64) (found, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	if flags&noFollow != 0 {
		how.Flags |= unix.O_NOFOLLOW
	}
	start := r.fileAt(dir)
	if path[0] == '/' {
		start = r.file("root")
		how.Resolve |= unix.RESOLVE_IN_ROOT
	}
	from, err := r.open(start)
	if err != nil {
		return found{}, err
	}
	defer from.close()
	const tries = 16 // the kernel gives up where something is renamed meanwhile (openat2(2))
	fd := -1
	for range tries {
		if fd, err = unix.Openat2(from.fd, path, &how); !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	if err != nil {
		return found{}, err
	}
	return found{fd}, nil
}

// owner is what a file's attribute says.
type owner struct{ uid, gid uint32 }

// maxAttr is more than the longest attribute of ours has, in bytes.
const maxAttr = 64

// ownerOf is a file's owner, where it has another than root.
func (r *receiver) ownerOf(file string) (owner, bool) {
	n, err := unix.Getxattr(file, unpack.OwnerXattr, r.attr[:])
	if err != nil {
		return owner{}, false
	}
	uid, gid, ok := unpack.ParseOwner(string(r.attr[:n]))
	return owner{uint32(uid), uint32(gid)}, ok
}

func (o owner) String() string { return unpack.OwnerText(int(o.uid), int(o.gid)) }

// chown remembers an owner.
func (r *receiver) chown(dir int, at, flags, uid, gid uint64) (int64, error) {
	if flags&^(noFollow|emptyPath) != 0 {
		return 0, unix.EINVAL
	}
	p, err := r.place(dir, at, flags)
	if err != nil {
		return 0, err
	}
	f, err := r.find(p)
	if err != nil {
		return 0, orForget(p.path, err)
	}
	defer f.close()
	who := r.who()
	old, given := r.ownerOf(f.name())
	o := old
	if id(uid) != unset {
		o.uid = id(uid)
	}
	if id(gid) != unset {
		o.gid = id(gid)
	}
	if !who.mayGive(old, given, o, r.may(who, unix.CAP_CHOWN)) {
		return 0, unix.EPERM
	}
	return 0, remember(f.name(), old, o)
}

// orForget is what an error on the way to a file comes to. What is behind a link that jumps
// is not found, and /proc has nothing of who asks for us: most such files are no files, and
// have no owner that could be remembered.
func orForget(path string, err error) error {
	var errno unix.Errno
	switch {
	case !errors.As(err, &errno):
		return unix.ESRCH // who asks is gone
	case errno == unix.EXDEV:
		return nil
	case (errno == unix.ENOENT || errno == unix.ELOOP) && (strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/dev/")):
		return nil
	}
	return errno
}

// remember writes an owner down. Links, devices and the like carry no attribute of ours
// (xattr(7)), nor does every file system: there it is forgotten.
func remember(file string, old, o owner) error {
	if o == old {
		return nil
	}
	var err error
	if _, nodeErr := unix.Getxattr(file, unpack.NodeXattr, nil); o == (owner{}) && nodeErr != nil {
		err = unix.Removexattr(file, unpack.OwnerXattr)
	} else {
		err = unix.Setxattr(file, unpack.OwnerXattr, []byte(o.String()), 0)
	}
	switch err {
	case unix.EPERM, unix.EOPNOTSUPP, unix.ENODATA, unix.EACCES:
		return nil
	}
	return err
}

// stat says what chown has said; of a file that nobody has given away the kernel knows best.
func (r *receiver) stat(dir int, at, to, flags uint64) (int64, error) {
	f, o, err := r.given(dir, at, flags)
	if err != nil {
		return 0, err
	}
	defer f.close()
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, errKernel
	}
	st.Uid, st.Gid = o.uid, o.gid
	if n, ok := r.nodeOf(f, st.Mode, st.Size); ok {
		st.Mode, st.Rdev = n.mode(st.Mode), n.device()
	}
	return 0, r.write(to, bytesOf(&st))
}

// syncFlags are those of statx(2) for files of other machines (AT_STATX_SYNC_TYPE).
const syncFlags = unix.AT_STATX_FORCE_SYNC | unix.AT_STATX_DONT_SYNC

func (r *receiver) statx(dir int, at, flags, mask, to uint64) (int64, error) {
	f, o, err := r.given(dir, at, flags)
	if err != nil {
		return 0, err
	}
	defer f.close()
	var st unix.Statx_t
	if err := unix.Statx(f.fd, "", int(flags)&syncFlags|emptyPath, int(uint32(mask)), &st); err != nil {
		return 0, errKernel
	}
	st.Uid, st.Gid = o.uid, o.gid
	if n, ok := r.nodeOf(f, uint32(st.Mode), int64(st.Size)); ok {
		st.Mode, st.Rdev_major, st.Rdev_minor = uint16(n.mode(uint32(st.Mode))), n.major, n.minor
	}
	return 0, r.write(to, bytesOf(&st))
}

// given is a file that chown has given away, or unpacking; errKernel: it is none.
func (r *receiver) given(dir int, at, flags uint64) (found, owner, error) {
	p, err := r.place(dir, at, flags)
	if err != nil {
		return found{}, owner{}, errKernel
	}
	if p.path == "" {
		// The most frequent by far: a file that is open. Nothing is opened for it here.
		if _, given := r.ownerOf(r.fileAt(dir)); !given {
			return found{}, owner{}, errKernel
		}
	}
	f, err := r.find(p)
	if err != nil {
		return found{}, owner{}, errKernel
	}
	if o, given := r.ownerOf(f.name()); given {
		return f, o, nil
	}
	f.close()
	return found{}, owner{}, errKernel
}
