package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// find opens what is at path in the root, following symlinks inside the root.
func (a *assembly) find(path string) (*os.File, error) { return Find(a.root, path) }

// Find opens path, O_PATH, resolved in root whatever symlinks the image holds.
func Find(root *os.File, path string) (*os.File, error) {
	// Most paths have no symlink in them. The kernel says so in one call, where
	// following one safely takes a dozen. ENOENT is final too: a symlink anywhere
	// before the missing name would have been ELOOP.
	f, err := linux.OpenBeneath(root, path, unix.O_PATH, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return f, err
	}
	err = retryRaced(func() (err error) {
		f, err = pathrs.OpenatInRoot(root, path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s in the image: %w", path, err)
	}
	return f, nil
}

// userDir opens a directory to mount on, and makes it where it is missing.
func (a *assembly) userDir(dir string) (*os.File, error) {
	if f, err := a.find(dir); err == nil {
		return mountPoint(f, dir, true)
	}
	dir, err := a.followDangling(dir)
	if err != nil {
		return nil, err
	}
	if above := path.Dir(dir); above != "/" {
		parent, err := a.userDir(above)
		if err != nil {
			return nil, err
		}
		parent.Close()
	}
	var f *os.File
	err = retryRaced(func() (err error) {
		f, err = pathrs.MkdirAllHandle(a.root, dir, 0o755)
		return err
	})
	if err == nil {
		err = a.giveMade(f)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s in the container: %w", dir, err)
	}
	return f, nil
}

// giveMade gives container root what was made to mount on. In a mount of the
// user's it stays the user's.
func (a *assembly) giveMade(f *os.File) error {
	var root, made unix.Stat_t
	err := errors.Join(unix.Fstat(int(a.root.Fd()), &root), unix.Fstat(int(f.Fd()), &made))
	if err != nil || made.Dev != root.Dev {
		return err
	}
	return a.owner.take(int(f.Fd()), "")
}

// userFile opens a file to mount on, and makes an empty one where it is missing.
func (a *assembly) userFile(file string) (*os.File, error) {
	f, err := a.find(file)
	if err == nil {
		return mountPoint(f, file, false)
	}
	// Where its directory is there, as /etc is, one call makes it.
	if f, err = a.makeFile(a.root, file); err == nil {
		return f, nil
	}
	file, err = a.followDangling(file)
	if err != nil {
		return nil, err
	}
	dir, err := a.userDir(path.Dir(file))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return a.makeFile(dir, path.Base(file))
}

// makeFile makes an empty file below dir, with no symlink on the way.
func (a *assembly) makeFile(dir *os.File, file string) (*os.File, error) {
	f, err := linux.OpenBeneath(dir, file, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
	if err == nil {
		err = a.giveMade(f)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s in the container: %w", file, err)
	}
	return f, nil
}

// maxLinks is the kernel's own limit on symlinks in a path (path_resolution(7)).
const maxLinks = 40

// followDangling returns the path in the root that a missing one leads to. Some
// images have symlinks to what is made at run time, as /etc/resolv.conf to /run;
// what they name is made in the root, where else they would lead. The path is
// only a name: it is resolved in the root once more when it is used.
func (a *assembly) followDangling(missing string) (string, error) {
	at := path.Clean(missing)
	for range maxLinks {
		next, isLink, err := a.followOne(at)
		if err != nil {
			return "", err
		}
		if !isLink {
			return at, nil
		}
		at = next
	}
	return "", fmt.Errorf("%s in the image: %w", missing, unix.ELOOP)
}

// followOne replaces the first part of the path that is a symlink to nowhere by
// what it says.
func (a *assembly) followOne(at string) (string, bool, error) {
	parts := strings.Split(strings.Trim(at, "/"), "/")
	for i, name := range parts {
		parent := "/" + path.Join(parts[:i]...)
		if f, err := a.find(path.Join(parent, name)); err == nil {
			f.Close()
			continue
		}
		dir, err := a.find(parent)
		if err != nil {
			return "", false, err
		}
		defer dir.Close()
		link, err := readlinkAt(dir, name)
		if err != nil {
			return at, false, nil // not there at all
		}
		if !path.IsAbs(link) {
			link = path.Join(parent, link)
		}
		return path.Join("/", link, path.Join(parts[i+1:]...)), true, nil
	}
	return at, false, nil
}

func readlinkAt(dir *os.File, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// mountPoint checks that f is of the kind that is to be mounted on it.
func mountPoint(f *os.File, path string, wantDir bool) (*os.File, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case err != nil:
	case isDir && !wantDir:
		err = fmt.Errorf("mount a file on %s: it is a directory in the image", path)
	case !isDir && wantDir:
		err = fmt.Errorf("mount a directory on %s: it is a file in the image", path)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// retryRaced repeats a lookup that openat2(2) gave up with EAGAIN, because
// something below the root was renamed meanwhile.
func retryRaced(lookup func() error) error {
	var err error
	for range 128 {
		if err = lookup(); !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
	return err
}
