package volume

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
	"rootlet/internal/linux"
)

// What is copied into a volume is put together here, beside the content, and
// when it is complete bears the second name.
const (
	filling = ".rootlet-filling"
	filled  = ".rootlet-filled"
)

// Fill copies a directory of the image's into the volume where that is empty,
// with the directory's owner and mode, as Docker does at a volume's first use.
// What is in it is never overwritten (CVE-2020-1726), and a volume is filled as
// a whole or not at all: if this process dies, the next one that uses the volume
// starts again, or ends what was begun. Others that fill it wait.
func (l *Lease) Fill(from *os.File) error {
	f, err := l.openFill()
	if err != nil {
		return fmt.Errorf("fill volume %s: %w", l.Name, err)
	}
	defer f.close()
	empty, err := f.empty()
	if err != nil || !empty && !f.begun() {
		return err
	}
	if err := take(l.lock, fillByte, unix.F_WRLCK, unix.F_OFD_SETLKW); err != nil {
		return fmt.Errorf("fill volume %s: %w", l.Name, err)
	}
	defer take(l.lock, fillByte, unix.F_UNLCK, unix.F_OFD_SETLK)
	if err := f.run(from); err != nil {
		return fmt.Errorf("fill volume %s: %w", l.Name, err)
	}
	return nil
}

// fill is a volume that is being filled. Its directories are opened once, and
// what is in them is gone to from there, following no symlink: where the volume
// is a directory of the host's, a container that runs may change dir below us.
type fill struct {
	dir  *os.File // where the content is put together; the same file system as data
	data *os.File
}

func (l *Lease) openFill() (*fill, error) {
	data, err := os.Open(l.Path)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(l.dir)
	if err != nil {
		data.Close()
		return nil, err
	}
	return &fill{dir: dir, data: data}, nil
}

func (f *fill) close() {
	f.dir.Close()
	f.data.Close()
}

func (f *fill) run(from *os.File) error {
	if !f.begun() {
		if empty, err := f.empty(); err != nil || !empty {
			return err // another was quicker
		}
		if err := f.copyAside(from); err != nil {
			return err
		}
	}
	aside, err := f.open(filled)
	if err != nil {
		return err
	}
	defer aside.Close()
	if err := moveAll(aside, f.data); err != nil {
		return err
	}
	if err := tree.CopyAttributes(int(aside.Fd()), int(f.data.Fd()), tree.NotOverlays); err != nil {
		return err
	}
	return tree.RemoveAt(int(f.dir.Fd()), filled)
}

// copyAside copies the image's directory beside the content.
func (f *fill) copyAside(from *os.File) error {
	at := int(f.dir.Fd())
	if err := tree.RemoveAt(at, filling); err != nil {
		return err
	}
	if err := unix.Mkdirat(at, filling, 0o700); err != nil {
		return fmt.Errorf("mkdir %s: %w", filling, err)
	}
	to, err := f.open(filling)
	if err != nil {
		return err
	}
	defer to.Close()
	copier := tree.Copier{}
	if err := copier.Merge([]int{int(from.Fd())}, int(to.Fd())); err != nil {
		return errors.Join(err, tree.RemoveAt(at, filling))
	}
	if err := tree.RemoveAt(at, filled); err != nil { // no directory, or it would have been begun
		return err
	}
	if err := unix.Renameat(at, filling, at, filled); err != nil {
		return fmt.Errorf("rename %s: %w", filling, err)
	}
	return nil
}

// open opens a directory in dir.
func (f *fill) open(name string) (*os.File, error) {
	fd, err := unix.Openat(int(f.dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// moveAll moves what is in one directory to the other. A name that is taken
// there belongs to a container that runs already, and stays as it is.
func moveAll(from, to *os.File) error {
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), name, unix.RENAME_NOREPLACE)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("move %q: %w", name, err)
		}
	}
	return nil
}

// begun reports whether the volume was filled, but not to the end.
func (f *fill) begun() bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(f.dir.Fd()), filled, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// empty reports whether nothing is in the volume but what a fill leaves.
func (f *fill) empty() (bool, error) {
	d, err := os.Open(linux.FDPath(f.data)) // to read it from its beginning
	if err != nil {
		return false, err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(3)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		for _, name := range names {
			if name != filling && name != filled {
				return false, nil
			}
		}
	}
}
