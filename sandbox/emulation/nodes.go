package emulation

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/unpack"
)

// A device that a program has made is an empty file that says so. Whoever opens it finds it
// empty: no container may make a device that works.

// node is a device.
type node struct {
	kind         uint32 // S_IFCHR or S_IFBLK
	major, minor uint32
}

// mode is that of the device, by that of the file that stands for it.
func (n node) mode(file uint32) uint32 { return file&^unix.S_IFMT | n.kind }

func (n node) device() uint64 { return unix.Mkdev(n.major, n.minor) }

// nodeOf is the device that a file stands for.
func (r *receiver) nodeOf(f found, mode uint32, size int64) (node, bool) {
	if mode&unix.S_IFMT != unix.S_IFREG || size != 0 {
		return node{}, false
	}
	n, err := unix.Getxattr(f.name(), unpack.NodeXattr, r.attr[:])
	if err != nil {
		return node{}, false
	}
	kind, major, minor, ok := unpack.ParseNode(string(r.attr[:n]))
	return node{kind, major, minor}, ok
}

// mknod makes what stands for a device.
func (r *receiver) mknod(dir int, at, mode, dev uint64) (int64, error) {
	if dev == 0 {
		return 0, errKernel // what hides a file in an overlay is everybody's to make (Linux 5.8)
	}
	if !r.may(r.who(), unix.CAP_MKNOD) {
		return 0, unix.EPERM
	}
	text, err := r.path(at)
	if err != nil {
		return 0, err
	}
	d, name, err := r.parent(dir, text)
	if err != nil {
		return 0, err
	}
	defer d.close()
	perm := uint32(mode) & 0o7777 &^ r.umask()
	if err := unix.Mknodat(d.fd, name, unix.S_IFREG|0o600, 0); err != nil {
		return 0, err
	}
	made, err := unix.Openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, nil // somebody has taken it away already
	}
	f := found{made}
	defer f.close()
	var st unix.Stat_t
	if unix.Fstat(f.fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 || st.Nlink != 1 {
		return 0, nil // or put something else in its place
	}
	device := uint64(uint32(dev)) // as mknod(2) takes it
	value := unpack.NodeText(uint32(mode)&unix.S_IFMT, unix.Major(device), unix.Minor(device))
	// An owner is there for every device: stat looks for the rest only where there is one.
	_ = unix.Setxattr(f.name(), unpack.OwnerXattr, []byte(owner{}.String()), 0)
	_ = unix.Setxattr(f.name(), unpack.NodeXattr, []byte(value), 0)
	_ = unix.Chmod(f.name(), perm)
	return 0, nil
}

// parent finds the directory that something is to be made in, and its name there.
func (r *receiver) parent(dir int, text string) (found, string, error) {
	name := path.Base(strings.TrimRight(text, "/"))
	switch {
	case text == "":
		return found{}, "", unix.ENOENT
	case name == "/" || name == "." || name == "..":
		return found{}, "", unix.EEXIST
	}
	above := strings.TrimRight(text, "/")
	if above = above[:len(above)-len(name)]; above == "" {
		above = "."
	}
	d, err := r.walk(dir, above, 0)
	return d, name, err
}

// mkdir makes a directory of somebody who is not root his. Of other files that he makes it
// is not known whose they are.
func (r *receiver) mkdir(dir int, at, mode uint64) (int64, error) {
	if !r.changed.Load() {
		return 0, errKernel
	}
	who := r.who()
	text, err := r.path(at)
	if err != nil || who.uid.files == 0 && who.gid.files == 0 {
		return 0, errKernel
	}
	d, name, err := r.parent(dir, text)
	if err != nil {
		return 0, errKernel // which says why, or finds what we do not
	}
	defer d.close()
	if err := unix.Mkdirat(d.fd, name, 0o700); err != nil {
		return 0, err
	}
	made, err := unix.Openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, nil // somebody has taken it away already
	}
	f := found{made}
	defer f.close()
	_ = unix.Setxattr(f.name(), unpack.OwnerXattr, []byte(owner{who.uid.files, who.gid.files}.String()), 0)
	if err := unix.Chmod(f.name(), uint32(mode)&0o1777&^r.umask()); err != nil {
		return 0, err
	}
	return 0, nil
}

// umask is that of who asks.
func (r *receiver) umask() uint32 {
	mask, err := strconv.ParseUint(r.status("Umask"), 8, 32)
	if err != nil {
		return 0o022
	}
	return uint32(mask) & 0o777
}

// status is a line of /proc/PID/status of who asks.
func (r *receiver) status(name string) string {
	text, _ := r.slurp(r.file("status"))
	return lineOf(text, name)
}

// lineOf is a line of such a file.
func lineOf(text, name string) string {
	_, rest, _ := strings.Cut("\n"+text, "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
