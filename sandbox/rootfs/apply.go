package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// assembly is a root while it is being put together.
type assembly struct {
	root  *os.File // O_PATH, the mount that becomes /
	owner owner    // of what is made in it
}

// Apply carries out a plan on the root mounted at dir.
func Apply(dir string, plan []Op) error {
	root, err := OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	a := &assembly{root: root}
	for _, op := range plan {
		if err := op.apply(a); err != nil {
			return err
		}
	}
	return nil
}

// OpenRoot opens a mounted root, for paths to be resolved in it.
func OpenRoot(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open root %s: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// ownDir is a directory that the runtime mounts over. Nothing may lead
// elsewhere on the way: an image with a symlink there is refused.
type ownDir struct{ path string }

func (o ownDir) String() string { return "directory " + o.path }

func (o ownDir) apply(a *assembly) error {
	f, err := a.own(o.path)
	if errors.Is(err, unix.ENOENT) {
		if err := a.unnoticed(o.path, func() error { return a.mkdir(o.path) }); err != nil {
			return err
		}
		f, err = a.own(o.path)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// own opens one of the runtime's own directories.
func (a *assembly) own(path string) (*os.File, error) {
	f, err := linux.OpenBeneath(a.root, path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s of the image must be a directory: %w", path, err)
	}
	return f, err
}

// mkdir makes path, whose parent is a directory of the root or of ours.
func (a *assembly) mkdir(path string) error {
	name := strings.TrimPrefix(path, "/")
	err := unix.Mkdirat(int(a.root.Fd()), name, 0o755)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err == nil {
		err = a.owner.take(int(a.root.Fd()), name)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}

// symlink is made inside our own /dev, where nothing else is yet.
type symlink struct{ content, path string }

func (s symlink) String() string { return "symlink " + s.path + " -> " + s.content }

func (s symlink) apply(a *assembly) error {
	name := strings.TrimPrefix(s.path, "/")
	err := unix.Symlinkat(s.content, int(a.root.Fd()), name)
	if err == nil {
		err = a.owner.take(int(a.root.Fd()), name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

// mountFS mounts a new filesystem.
type mountFS struct {
	fstype, target, data string
	flags                uintptr
	makeTarget           bool // the user's: make it, and let the image's symlinks lead to it
}

func (m mountFS) String() string {
	return fmt.Sprintf("mount %s on %s data=%s flags=%s", m.fstype, m.target, m.data, linux.MountFlags(m.flags))
}

func (m mountFS) apply(a *assembly) error {
	open := a.own
	if m.makeTarget {
		open = a.userDir
	}
	f, err := open(m.target)
	if err != nil {
		return err
	}
	defer f.Close()
	return linux.Mount(m.fstype, linux.FDPath(f), m.target, m.fstype, m.flags, m.data)
}

// bind shows a file or directory of the host's in the root.
type bind struct {
	source, target string
	set            uint64 // mount_setattr(2) flags
	propagation    string
	file           bool // target is a file, whatever source is
	recursive      bool
	makeSource     bool
}

func (b bind) String() string {
	s := fmt.Sprintf("bind %s on %s set=%s", b.source, b.target, linux.MountAttributes(b.set))
	if b.recursive {
		s += " recursive"
	}
	if b.makeSource {
		s += " make-source"
	}
	if b.propagation != "" {
		s += " propagation=" + b.propagation
	}
	return s
}

func (b bind) apply(a *assembly) error {
	source, isDir, err := b.openSource()
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := b.openTarget(a, isDir)
	if err != nil {
		return err
	}
	defer target.Close()
	flags := uintptr(unix.MS_BIND)
	if b.recursive {
		flags |= unix.MS_REC
	}
	if err := linux.Mount(linux.FDPath(source), linux.FDPath(target), b.target, "", flags, ""); err != nil {
		return err
	}
	return a.finishBind(b)
}

// openTarget opens what is mounted on, and makes it where it is missing.
func (b bind) openTarget(a *assembly, isDir bool) (target *os.File, err error) {
	switch {
	case b.file: // the runtime's own
		if target, err = a.find(b.target); err == nil {
			return mountPoint(target, b.target, false)
		}
		err = a.unnoticed(b.target, func() (err error) {
			target, err = a.userFile(b.target)
			return err
		})
		return target, err
	case isDir:
		return a.userDir(b.target)
	}
	return a.userFile(b.target)
}

// finishBind sets flags and propagation on what was mounted. The target is
// opened anew: its old descriptor names what is below the mount.
func (a *assembly) finishBind(b bind) error {
	top, err := a.find(b.target)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := linux.SetMountAttributes(top, b.set, b.recursive); err != nil {
		return fmt.Errorf("set %s on %s: %w", linux.MountAttributes(b.set), b.target, err)
	}
	flag, err := propagation(b.propagation)
	if err != nil {
		return err
	}
	return linux.Mount("", linux.FDPath(top), b.target, "", flag, "")
}

// propagation is mount(2)'s flag for Docker's word; rprivate is the default.
func propagation(word string) (uintptr, error) {
	switch word {
	case "", "rprivate":
		return unix.MS_PRIVATE | unix.MS_REC, nil
	case "private":
		return unix.MS_PRIVATE, nil
	case "slave":
		return unix.MS_SLAVE, nil
	case "rslave":
		return unix.MS_SLAVE | unix.MS_REC, nil
	case "shared":
		return unix.MS_SHARED, nil
	case "rshared":
		return unix.MS_SHARED | unix.MS_REC, nil
	}
	return 0, fmt.Errorf("mount propagation %q: it is one of private, rprivate, slave, rslave, shared, rshared", word)
}

// openSource opens what is to be bound.
func (b bind) openSource() (*os.File, bool, error) {
	fd, err := unix.Open(b.source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) && b.makeSource {
		if err := os.MkdirAll(b.source, 0o755); err != nil {
			return nil, false, fmt.Errorf("bind source: %w", err)
		}
		fd, err = unix.Open(b.source, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, false, fmt.Errorf("bind source path %s: %w", b.source, err)
	}
	f := os.NewFile(uintptr(fd), b.source)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, false, err
	}
	return f, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// bindDevice shows a device of the host's, checked by its number where that is
// known.
type bindDevice struct {
	source, target string
	number         uint64 // 0: any device
}

func (d bindDevice) String() string { return fmt.Sprintf("device %s on %s", d.source, d.target) }

func (d bindDevice) apply(a *assembly) error {
	fd, err := unix.Open(d.source, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("device %s: %w", d.source, err)
	}
	source := os.NewFile(uintptr(fd), d.source)
	defer source.Close()
	if err := d.check(fd); err != nil {
		return err
	}
	target, err := a.userFile(d.target)
	if err != nil {
		return err
	}
	defer target.Close()
	return linux.Mount(linux.FDPath(source), linux.FDPath(target), d.target, "", unix.MS_BIND, "")
}

func (d bindDevice) check(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFCHR && kind != unix.S_IFBLK {
		return fmt.Errorf("device %s: not a device", d.source)
	}
	if d.number != 0 && (kind != unix.S_IFCHR || st.Rdev != d.number) {
		return fmt.Errorf("device %s: it is %d:%d, not what it should be", d.source, unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	return nil
}

// BindConsole shows the container's end of its terminal as /dev/console, by
// descriptor, in the /dev that Apply made.
func BindConsole(dir string, terminal *os.File) error {
	root, err := OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	const path = "/dev/console"
	target, err := linux.OpenBeneath(root, path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer target.Close()
	return linux.Mount(linux.FDPath(terminal), linux.FDPath(target), path, "", unix.MS_BIND, "")
}

// owner is container root where that is another than the one who makes all this:
// what is made from here on is his.
type owner struct{ uid, gid int } // in U1

func (o owner) String() string { return fmt.Sprintf("owner %d:%d", o.uid, o.gid) }

func (o owner) apply(a *assembly) error {
	a.owner = o
	return nil
}

// take gives container root what was made at a name in a directory, or what a
// descriptor is of where the name is empty.
func (o owner) take(dir int, name string) error {
	if o == (owner{}) {
		return nil
	}
	return unix.Fchownat(dir, name, o.uid, o.gid, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
}

// workDir makes the working directory where it is missing, as Docker does, in a
// read-only root too; whatever symlinks the image holds, in the root
// (CVE-2026-55686).
type workDir struct {
	path     string
	uid, gid int // container root's, in U1
}

func (w workDir) String() string { return "working directory " + w.path }

func (w workDir) apply(a *assembly) error {
	if f, err := a.find(w.path); err == nil {
		return f.Close()
	}
	parts := strings.Split(strings.Trim(w.path, "/"), "/")
	for i := range parts {
		if err := w.make(a, "/"+path.Join(parts[:i+1]...)); err != nil {
			return err
		}
	}
	return nil
}

// make makes one part of the path, container root's.
func (w workDir) make(a *assembly, dir string) error {
	if f, err := a.find(dir); err == nil {
		return f.Close()
	}
	f, err := a.userDir(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fchownat(int(f.Fd()), "", w.uid, w.gid, unix.AT_EMPTY_PATH)
}

// seal sets flags on the root mount itself.
type seal struct{ set uint64 }

func (s seal) String() string { return "root set=" + linux.MountAttributes(s.set) }

func (s seal) apply(a *assembly) error {
	if err := linux.SetMountAttributes(a.root, s.set, false); err != nil {
		return fmt.Errorf("set %s on the root: %w", linux.MountAttributes(s.set), err)
	}
	return nil
}
