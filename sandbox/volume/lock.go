package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A volume's lock file has two bytes to lock (open file description locks,
// fcntl(2)): the first is shared by all who use the volume and whole for the one
// who removes it, the second belongs to the one who fills it.
const (
	lockFile = "lock"
	useByte  = 0
	fillByte = 1
)

// lockWhole takes the lock of a volume that nobody uses. It returns an
// *InUseError where someone does.
func (s Store) lockWhole(name string) (*os.File, error) {
	f, err := s.lock(name, unix.F_WRLCK, unix.F_OFD_SETLK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, &InUseError{Name: name}
	}
	return f, err
}

// lock takes the lock of the volume that has the name now: while one waited for
// it, it may have been removed, and another made.
func (s Store) lock(name string, kind int16, how int) (*os.File, error) {
	for {
		f, err := openLock(s.dir(name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &NotFoundError{name}
		}
		if err != nil {
			return nil, fmt.Errorf("lock volume %s: %w", name, err)
		}
		if err := take(f, useByte, kind, how); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock volume %s: %w", name, err)
		}
		ours, err := f.Stat()
		named, nameErr := os.Lstat(filepath.Join(s.dir(name), lockFile))
		if err == nil && nameErr == nil && os.SameFile(ours, named) {
			return f, nil
		}
		f.Close()
	}
}

func openLock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
}

func take(f *os.File, at int64, kind int16, how int) error {
	for {
		err := unix.FcntlFlock(f.Fd(), how, &unix.Flock_t{Type: kind, Start: at, Len: 1})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
