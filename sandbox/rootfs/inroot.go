package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// find opens what is at path in the root, following symlinks inside the root.
func (a *assembly) find(path string) (*os.File, error) { return Find(a.root, path) }

// Find opens path, O_PATH, resolved in root whatever symlinks the image holds.
func Find(root *os.File, path string) (*os.File, error) {
	var f *os.File
	err := retryRaced(func() (err error) {
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
	var f *os.File
	err := retryRaced(func() (err error) {
		f, err = pathrs.MkdirAllHandle(a.root, dir, 0o755)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make %s in the container: %w", dir, err)
	}
	return f, nil
}

// userFile opens a file to mount on, and makes an empty one where it is missing.
func (a *assembly) userFile(file string) (*os.File, error) {
	if f, err := a.find(file); err == nil {
		return mountPoint(f, file, false)
	}
	dir, err := a.userDir(path.Dir(file))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := linux.OpenBeneath(dir, path.Base(file), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make %s in the container: %w", file, err)
	}
	return f, nil
}

// replaceableFile is userFile for the runtime's own files: a symlink that leads
// nowhere, as Debian's /etc/resolv.conf does in some images, gives way.
func (a *assembly) replaceableFile(file string) (*os.File, error) {
	f, err := a.userFile(file)
	if err == nil || !(errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ELOOP)) {
		return f, err
	}
	dir, err := a.userDir(path.Dir(file))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), path.Base(file), 0); err != nil {
		return nil, fmt.Errorf("replace %s in the container: %w", file, err)
	}
	return a.userFile(file)
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
