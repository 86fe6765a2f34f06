package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/tree"
	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
)

// Directories that are no volume yet, or no longer. Whoever works on one holds
// its lock: one whose lock is free was left behind by a process that died.
const (
	comingPrefix = ".new-"
	goingPrefix  = ".removed-"
)

// Create makes a volume, empty, and reports whether it did: false says that one
// of the name is there. It is put together aside and moved into place whole, so
// that of two who make the same one, one wins. Durable says whether it must
// survive a power cut.
func (s Store) Create(v Volume, durable bool) (bool, error) {
	if err := errors.Join(CheckName(v.Name), CheckOptions(v.Options)); err != nil {
		return false, err
	}
	if _, err := os.Lstat(s.dir(v.Name)); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	aside, lock, err := s.aside()
	if err != nil {
		return false, err
	}
	defer lock.Close()
	failpoint.At("volume aside")
	v.Version, v.Created = Version, time.Now().UTC()
	if err := v.write(aside, durable); err != nil {
		return false, errors.Join(err, os.RemoveAll(aside))
	}
	failpoint.At("volume written")
	err = os.Rename(aside, s.dir(v.Name))
	failpoint.At("volume made")
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return false, os.RemoveAll(aside)
	}
	if err == nil && durable {
		err = linux.SyncDir(string(s))
	}
	return err == nil, err
}

// aside makes a directory for a volume to be, with its lock.
func (s Store) aside() (string, *os.File, error) {
	for {
		if err := os.MkdirAll(string(s), 0o700); err != nil {
			return "", nil, err
		}
		dir, err := os.MkdirTemp(string(s), comingPrefix)
		if err != nil {
			return "", nil, err
		}
		lock, err := openLock(dir)
		if err == nil {
			err = take(lock, useByte, unix.F_WRLCK, unix.F_OFD_SETLK)
		}
		switch {
		case err == nil:
			return dir, lock, nil
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			// Sweep was quicker than the lock, and takes the directory away.
		default:
			return "", nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
}

// write fills the directory of a volume that is being made.
func (v Volume) write(dir string, durable bool) error {
	if err := os.Mkdir(filepath.Join(dir, dataDir), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, recordFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(text, '\n')); err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// InUseError refuses to remove a volume that containers have.
type InUseError struct {
	Name  string
	Users []string // ids; none where one is just being made
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("remove %s: volume is in use - [%s]", e.Name, strings.Join(e.Users, ", "))
}

// Remove deletes a volume: its name first, its content last. users says which
// containers have it; it is asked when no container can get it any more. It
// returns an *InUseError where one has, or a *NotFoundError.
func (s Store) Remove(name string, users func() ([]string, error)) error {
	if CheckName(name) != nil {
		return &NotFoundError{name}
	}
	lock, err := s.lockWhole(name)
	if err != nil {
		return err
	}
	defer lock.Close()
	ids, err := users()
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return &InUseError{Name: name, Users: ids}
	}
	going := s.dir(goingPrefix + RandomName())
	if err := os.Rename(s.dir(name), going); err != nil {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	failpoint.At("volume unnamed")
	if err := fuseoverlay.RemoveTree(going); err != nil {
		return fmt.Errorf("remove volume %s: its name is free, its content is not gone yet: %w", name, err)
	}
	return nil
}

// Size adds up what a volume holds. A directory of the host's that goes by a
// volume's name takes nothing of ours.
func (s Store) Size(name string) (int64, error) {
	size, err := tree.Size(unix.AT_FDCWD, s.Mountpoint(name), nil)
	if err != nil {
		return 0, fmt.Errorf("size of volume %s: %w", name, err)
	}
	return size, nil
}

// Sweep deletes what processes that died have left behind.
func (s Store) Sweep() error {
	dirs, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, d := range dirs {
		left := slices.ContainsFunc([]string{comingPrefix, goingPrefix}, func(prefix string) bool { return strings.HasPrefix(d.Name(), prefix) })
		if !left {
			continue
		}
		lock, err := s.lockWhole(d.Name())
		var inUse *InUseError
		var gone *NotFoundError
		switch {
		case errors.As(err, &inUse), errors.As(err, &gone):
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, fuseoverlay.RemoveTree(s.dir(d.Name())), lock.Close())
		}
	}
	return errors.Join(errs...)
}
