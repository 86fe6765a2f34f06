package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/tree"
)

// Lease is a volume that cannot be removed until the lease is closed.
type Lease struct {
	Volume
	Path string // what to mount
	Made bool   // it was not there before

	dir  string
	lock *os.File
}

// Close ends the use of the volume.
func (l *Lease) Close() error { return l.lock.Close() }

// ReadOnly, Recursive and NoExec say how a volume that stands for a directory of
// the host's wants to be mounted.
func (l *Lease) ReadOnly() bool  { return l.flags().readOnly }
func (l *Lease) Recursive() bool { return l.flags().recursive }
func (l *Lease) NoExec() bool    { return l.flags().noExec }

func (l *Lease) flags() flags {
	f, _ := bindFlags(l.Options["o"]) // read when the volume was made
	return f
}

// Use takes a volume into use, and makes it where it does not exist.
func (s Store) Use(v Volume, durable bool) (*Lease, error) {
	for {
		made, err := s.Create(v, durable)
		if err != nil {
			return nil, err
		}
		lock, err := s.lock(v.Name, unix.F_RDLCK, unix.F_OFD_SETLKW)
		var gone *NotFoundError
		if errors.As(err, &gone) {
			continue // removed in between
		}
		if err != nil {
			return nil, err
		}
		l := &Lease{dir: s.dir(v.Name), lock: lock, Path: s.Mountpoint(v.Name), Made: made}
		if l.Volume, err = s.Inspect(v.Name); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		if device := l.Device(); device != "" {
			l.dir, l.Path = device, device
		}
		return l, nil
	}
}

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
	empty, err := l.empty()
	if err != nil || !empty && !l.begun() {
		return err
	}
	if err := take(l.lock, fillByte, unix.F_WRLCK, unix.F_OFD_SETLKW); err != nil {
		return fmt.Errorf("fill volume %s: %w", l.Name, err)
	}
	defer take(l.lock, fillByte, unix.F_UNLCK, unix.F_OFD_SETLK)
	err = l.fill(from)
	if err != nil {
		return fmt.Errorf("fill volume %s: %w", l.Name, err)
	}
	return nil
}

func (l *Lease) fill(from *os.File) error {
	if !l.begun() {
		if empty, err := l.empty(); err != nil || !empty {
			return err // another was quicker
		}
		if err := l.copyAside(from); err != nil {
			return err
		}
	}
	aside, err := os.Open(filepath.Join(l.dir, filled))
	if err != nil {
		return err
	}
	defer aside.Close()
	to, err := os.Open(l.Path)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := moveAll(aside, to); err != nil {
		return err
	}
	if err := tree.CopyAttributes(int(aside.Fd()), int(to.Fd()), tree.NotOverlays); err != nil {
		return err
	}
	return fuseoverlay.RemoveTree(aside.Name())
}

// copyAside copies the image's directory beside the content.
func (l *Lease) copyAside(from *os.File) error {
	aside := filepath.Join(l.dir, filling)
	if err := fuseoverlay.RemoveTree(aside); err != nil {
		return err
	}
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	to, err := os.Open(aside)
	if err != nil {
		return err
	}
	defer to.Close()
	copier := tree.Copier{}
	if err := copier.Merge([]int{int(from.Fd())}, int(to.Fd())); err != nil {
		return errors.Join(err, fuseoverlay.RemoveTree(aside))
	}
	return os.Rename(aside, filepath.Join(l.dir, filled))
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
func (l *Lease) begun() bool {
	_, err := os.Lstat(filepath.Join(l.dir, filled))
	return err == nil
}

// empty reports whether nothing is in the volume but what Fill leaves.
func (l *Lease) empty() (bool, error) {
	d, err := os.Open(l.Path)
	if err != nil {
		return false, fmt.Errorf("volume %s: %w", l.Name, err)
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
