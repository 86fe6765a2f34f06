package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Store is where the networks are.
type Store struct {
	Data    string `json:"data"`    // rootlet's data directory
	Runtime string `json:"runtime"` // for sockets where the former has none
}

const (
	recordFile = "network.json"
	lockFile   = "lock"
	socketFile = "socket"
)

func (s Store) root() string           { return filepath.Join(s.Data, "networks") }
func (s Store) dir(name string) string { return filepath.Join(s.root(), name) }

// NotFoundError says that there is no network of a name.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("network %s not found", e.Name) }

// ExistsError says that there is one already.
type ExistsError struct{ Name string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("network with name %s already exists", e.Name)
}

// Entry is one network as a reader finds it. Err says why its record could not be
// read; the name is always there.
type Entry struct {
	Network
	Err error
}

// List reads all networks, in the order of their names.
func (s Store) List() ([]Entry, error) {
	dirs, err := os.ReadDir(s.root())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries := []Entry{{Network: standard()}}
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), ".") || d.Name() == Default {
			continue
		}
		n, err := s.Inspect(d.Name())
		var gone *NotFoundError
		if !errors.As(err, &gone) {
			entries = append(entries, Entry{Network: n, Err: err})
		}
	}
	return entries, nil
}

// Inspect reads one network. It returns a *NotFoundError where there is none.
func (s Store) Inspect(name string) (Network, error) {
	n := Network{Name: name}
	if name == Default {
		return standard(), nil
	}
	if CheckName(name) != nil {
		return n, &NotFoundError{name}
	}
	path := filepath.Join(s.dir(name), recordFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.dir(name)); errors.Is(err, fs.ErrNotExist) {
			return n, &NotFoundError{name}
		}
	}
	if err != nil {
		return n, fmt.Errorf("network %s: %w", name, err)
	}
	var read Network
	if err := json.Unmarshal(text, &read); err != nil {
		return n, fmt.Errorf("network %s: %s is damaged: %w", name, path, err)
	}
	if read.Version != Version {
		return n, fmt.Errorf("network %s: record of version %d, this rootlet reads version %d", name, read.Version, Version)
	}
	read.Name = name // where it is says more than what it says
	return read, nil
}

// Create makes a network. It returns an *ExistsError where there is one of the name.
func (s Store) Create(n Network) (Network, error) {
	if err := errors.Join(CheckName(n.Name), CheckOptions(n.Options)); err != nil {
		return n, err
	}
	if err := os.MkdirAll(s.root(), 0o700); err != nil {
		return n, err
	}
	// One at a time, or two would choose the same subnet.
	turn, err := lock(filepath.Join(s.root(), "."+lockFile))
	if err != nil {
		return n, err
	}
	defer turn.Close()
	s.sweep()
	if _, err := os.Lstat(s.dir(n.Name)); err == nil || n.Name == Default {
		return n, &ExistsError{n.Name}
	}
	entries, err := s.List()
	if err != nil {
		return n, err
	}
	var others []Network
	for _, e := range entries {
		if e.Err == nil {
			others = append(others, e.Network)
		}
	}
	if err := n.complete(others, hostSubnets()); err != nil {
		return n, err
	}
	n.Version, n.ID, n.Created = Version, randomID(), time.Now().UTC()
	return n, s.write(n)
}

// write puts a network together aside and moves it into place whole.
func (s Store) write(n Network) error {
	aside, err := os.MkdirTemp(s.root(), comingPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(aside, recordFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(text, '\n')); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(aside, s.dir(n.Name))
}

// The names of what is no network yet, or no longer.
const (
	comingPrefix = ".new-"
	goingPrefix  = ".removed-"
)

// sweep deletes what processes that died have left behind. Nobody else is about to make
// one, and what is on its way out may go twice.
func (s Store) sweep() {
	for _, prefix := range []string{comingPrefix, goingPrefix} {
		left, _ := filepath.Glob(filepath.Join(s.root(), prefix+"*"))
		for _, path := range left {
			_ = os.RemoveAll(path)
		}
	}
}

// InUseError refuses to remove a network that containers have.
type InUseError struct {
	Name  string
	Users []string // their names
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("network %s is in use by %s: remove them first, or disconnect them", e.Name, strings.Join(e.Users, ", "))
}

// Remove deletes a network. users says which containers have it, running or not; it is
// asked when none can join any more. It returns a *NotFoundError or an *InUseError.
func (s Store) Remove(name string, users func() ([]string, error)) error {
	if name == Default {
		return fmt.Errorf("network %s is always there: it cannot be removed", name)
	}
	if CheckName(name) != nil {
		return &NotFoundError{name}
	}
	turn, err := s.lock(name)
	if err != nil {
		return err
	}
	defer turn.Close()
	names, err := users()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return &InUseError{Name: name, Users: names}
	}
	going := filepath.Join(s.root(), goingPrefix+randomID()[:12])
	if err := os.Rename(s.dir(name), going); err != nil {
		return fmt.Errorf("remove network %s: %w", name, err)
	}
	return os.RemoveAll(going)
}

// lock has a network's process begin and end, and the network go, one at a time. It
// returns a *NotFoundError where there is no such network.
func (s Store) lock(name string) (*os.File, error) {
	path := filepath.Join(s.dir(name), lockFile)
	for {
		f, err := lock(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &NotFoundError{name}
		}
		if err != nil {
			return nil, fmt.Errorf("lock network %s: %w", name, err)
		}
		// While one waited it may have been removed, and another made.
		mine, err := f.Stat()
		named, nameErr := os.Lstat(path)
		if err == nil && nameErr == nil && os.SameFile(mine, named) {
			return f, nil
		}
		f.Close()
	}
}

func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, err
		}
	}
}

// hostSubnets are those that the host is in: a network of the same addresses would hide
// them from its members.
func hostSubnets() (list []netip.Prefix) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}
