package record

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
)

// nameRule is Docker's: moby daemon/names.
var nameRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// NameTakenError says which container has a name already.
type NameTakenError struct{ Name, ID string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the container name %q is already in use by container %q", "/"+e.Name, e.ID)
}

// Hint says what to type.
func (e *NameTakenError) Hint() string {
	return fmt.Sprintf("remove it with `rootlet rm %s`, or use another name", e.Name)
}

// CheckName reports whether name may be a container's.
func CheckName(name string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("invalid container name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, and at least two of them", name)
	}
	return nil
}

// takeName makes names/NAME, holding id, by an exclusive create; an empty name
// stands for a random one that is free.
func (r Root) takeName(name, id string) (string, error) {
	if name != "" {
		name = strings.TrimPrefix(name, "/")
		if err := CheckName(name); err != nil {
			return "", err
		}
		return name, r.claim(name, id)
	}
	for try := 0; ; try++ {
		name := adjectives[rand.IntN(len(adjectives))] + "_" + surnames[rand.IntN(len(surnames))]
		if try > 5 {
			name += fmt.Sprint(rand.IntN(1000))
		}
		err := r.claim(name, id)
		var taken *NameTakenError
		if try < 100 && errors.As(err, &taken) {
			continue
		}
		return name, err
	}
}

// claim takes the name for id. A name whose container is gone, as after a crash
// in the middle of rm, is taken over. The file is linked into place whole, so
// that nobody ever reads an empty one.
func (r Root) claim(name, id string) error {
	path := filepath.Join(r.names(), name)
	own := filepath.Join(r.names(), "."+id)
	if err := os.WriteFile(own, []byte(id), 0o600); err != nil {
		return err
	}
	defer os.Remove(own)
	failpoint.At("record name written")
	for range 100 {
		err := putName(own, path, id)
		failpoint.At("record name taken")
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return err
		}
		holder, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !isID(string(holder)) {
			_ = os.Remove(path) // damaged: it is nobody's
			continue
		}
		if r.goesBy(string(holder), name) {
			return &NameTakenError{Name: name, ID: string(holder)}
		}
		if err := r.freeName(name, string(holder)); err != nil {
			return err
		}
	}
	return fmt.Errorf("container name %q: taken and freed by others without end", name)
}

// goesBy reports whether a container is there and has this name. One that was
// renamed by a process that died at it may hold its old one still.
func (r Root) goesBy(id, name string) bool {
	if !exists(r.Dir(id)) || r.unfinished(id) {
		return false
	}
	// Two that rename at the same moment must not wait for each other: a name
	// in change is taken.
	turn, err := r.takeTurn(id, unix.F_OFD_SETLK)
	if err != nil {
		return exists(r.Dir(id))
	}
	defer turn.Close()
	s, err := r.Spec(id)
	return err != nil || s.Name == name // without a record it is being made
}

// putName gives a file that holds id a name that nobody has, else the error is
// fs.ErrExist. Where there are no hard links, as on exFAT and some servers, it moves
// the file; where nothing is moved without replacing (NFS), it makes another one.
func putName(file, path, id string) error {
	err := os.Link(file, path)
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err = unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE); err == nil {
		return nil
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return &os.LinkError{Op: "rename", Old: file, New: path, Err: err}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(id)
	return errors.Join(err, f.Close())
}

// freeName removes names/NAME where it is id's. It moves the file aside before
// it looks into it, so that a name which someone else took in between is given
// back and not lost.
func (r Root) freeName(name, id string) error {
	path := filepath.Join(r.names(), name)
	aside := filepath.Join(r.names(), "."+id+freedSuffix)
	if err := os.Rename(path, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer os.Remove(aside)
	failpoint.At("record name aside")
	holder, err := os.ReadFile(aside)
	if err != nil || string(holder) == id {
		return err
	}
	if err := putName(aside, path, string(holder)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// freedSuffix marks a name that is being freed.
const freedSuffix = ".freed"

// leftAfter is how old a file must be that serves the taking or freeing of a
// name, which is done in an instant, to be one that a crash has left.
const leftAfter = time.Minute

// SweepNames takes away what processes that died have left among the names. A
// name that one of them had put aside, and which was not its own to free, is
// given back to its container.
func (r Root) SweepNames() error {
	entries, err := os.ReadDir(r.names())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < leftAfter {
			continue
		}
		path := filepath.Join(r.names(), e.Name())
		switch {
		case e.Name()[0] != '.':
			errs = append(errs, r.sweepName(e.Name()))
			continue
		case strings.HasSuffix(path, freedSuffix):
			errs = append(errs, r.giveBack(path))
		}
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sweepName frees a name that no container goes by.
func (r Root) sweepName(name string) error {
	id, stale, err := r.stale(name)
	if err != nil || !stale {
		return err
	}
	return r.freeName(name, id)
}

// stale reports whether no container goes by a name, and whose it was.
func (r Root) stale(name string) (id string, stale bool, err error) {
	holder, err := os.ReadFile(filepath.Join(r.names(), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil // freed meanwhile
	}
	if err != nil {
		return "", false, err
	}
	id = string(holder)
	s, err := r.Spec(id)
	return id, !(err == nil && s.Name == name || r.goesBy(id, name)), nil
}

// StaleNames lists the names that SweepNames frees.
func (r Root) StaleNames() ([]string, error) {
	entries, err := os.ReadDir(r.names())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name()[0] == '.' || time.Since(info.ModTime()) < leftAfter {
			continue
		}
		if _, stale, err := r.stale(e.Name()); err != nil {
			return nil, err
		} else if stale {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// giveBack links the name of a container that a file stands for, unless the
// container is gone or has a name.
func (r Root) giveBack(aside string) error {
	id, err := os.ReadFile(aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another sweep's
	}
	if err != nil {
		return err
	}
	s, err := r.Spec(string(id))
	if err != nil || CheckName(s.Name) != nil {
		return nil
	}
	if err := putName(aside, filepath.Join(r.names(), s.Name), string(id)); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
