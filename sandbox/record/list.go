package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Entry is one container as a reader finds it. Err says what of it could not be
// read: it counts as dead then, and has its id and name at least.
type Entry struct {
	ID    string
	Spec  Spec
	State State
	Err   error
}

// List reads all containers, the newest first.
func (r Root) List() ([]Entry, error) { return r.list(func(string) bool { return true }) }

// ListAlive reads those that have a monitor, the newest first. The records of
// the others, which may be many, stay unread.
func (r Root) ListAlive() ([]Entry, error) { return r.list(r.Alive) }

func (r Root) list(wanted func(id string) bool) ([]Entry, error) {
	dirs, err := os.ReadDir(r.Containers())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, dir := range dirs {
		if strings.HasPrefix(dir.Name(), ".") || !wanted(dir.Name()) {
			continue
		}
		if e, ok := r.read(dir.Name()); ok {
			entries = append(entries, e)
		}
	}
	sort.SliceStable(entries, func(i, k int) bool {
		return entries[i].Spec.Created.After(entries[k].Spec.Created)
	})
	return entries, nil
}

// Read reads one container, which may have gone in the meantime.
func (r Root) Read(id string) (Entry, error) {
	e, ok := r.read(id)
	if !ok {
		return e, &NotFoundError{Given: id}
	}
	return e, nil
}

// read reads one container, and reports whether it is there.
func (r Root) read(id string) (Entry, bool) {
	e := Entry{ID: id}
	// The lock is looked at before the state is read: a monitor that ends in
	// between has written the state already.
	alive := locked(r.Dir(id))
	e.Spec, e.Err = r.Spec(id)
	if errors.Is(e.Err, fs.ErrNotExist) && exists(filepath.Join(r.Dir(id), specFile)) {
		e.Spec, e.Err = r.Spec(id) // its monitor wrote it between the two
	}
	if e.Err == nil {
		e.State, e.Err = r.state(id, alive)
	}
	if e.Err == nil {
		return e, true
	}
	e.State = State{Status: Dead}
	if e.Spec.ID = id; e.Spec.Name == "" {
		e.Spec.Name = r.nameOf(id)
	}
	return e, r.there(id)
}

// nameOf finds the name of a container whose record does not tell it.
func (r Root) nameOf(id string) string {
	names, _ := os.ReadDir(r.names())
	for _, name := range names {
		if holder, err := os.ReadFile(filepath.Join(r.names(), name.Name())); err == nil && string(holder) == id && name.Name()[0] != '.' {
			return name.Name()
		}
	}
	return ""
}

// Spec reads what a container is, under its present name and restart policy.
func (r Root) Spec(id string) (Spec, error) {
	var s Spec
	// Until 2026 the one mode of --userns was a flag.
	stored := struct {
		*Spec
		KeepID bool `json:"keepID"`
	}{Spec: &s}
	err := readJSON(filepath.Join(r.Dir(id), specFile), &stored)
	if stored.KeepID {
		s.UserNS.Mode = KeepID
	}
	if err == nil && s.Version != Version {
		err = fmt.Errorf("container %s: record of version %d, this rootlet reads version %d", id, s.Version, Version)
	}
	if err != nil {
		return s, err
	}
	return s, r.Refresh(&s)
}

// Alive reports whether a container's monitor lives: while it runs, and for a
// moment before and after.
func (r Root) Alive(id string) bool { return locked(r.Dir(id)) }

// Live reads how a container is now.
func (r Root) Live(id string) (State, error) { return r.state(id, locked(r.Dir(id))) }

// Last reads how a container ended, for one who holds its lock.
func (r Root) Last(id string) (State, error) { return r.state(id, false) }

func (r Root) state(id string, alive bool) (State, error) {
	s := State{Status: Created}
	err := readJSON(filepath.Join(r.Dir(id), stateFile), &s)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // created, never started
	}
	if (s.Status.Up() || s.Status == Restarting) && !alive {
		s = s.lost()
	}
	if s.PID != 0 && s.Born != "" && Born(s.PID) != s.Born {
		s.PID = 0 // somebody else's by now
	}
	return s, err
}

// readJSON reads a record of ours. The directory is the user's alone, so what
// is in it is trusted to be a file, but not to be whole.
func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}

// NotFoundError says that nothing goes by a name or id.
type NotFoundError struct{ Given string }

func (e *NotFoundError) Error() string { return "no such container: " + e.Given }

// there reports whether a container exists for others. One whose monitor is
// still making it does not, nor one whose monitor has died at that (unfinished),
// nor one that is about to go. A container that has run once and lost its spec
// is there, damaged.
func (r Root) there(id string) bool {
	dir := r.Dir(id)
	return exists(filepath.Join(dir, specFile)) || exists(filepath.Join(dir, stateFile)) && !locked(dir)
}

// unfinished reports whether a monitor has died while it made this container.
func (r Root) unfinished(id string) bool {
	return !locked(r.Dir(id)) && exists(r.Dir(id)) && !r.there(id)
}

// Find resolves a full id, a name, or an unambiguous prefix of an id, in that
// order.
func (r Root) Find(given string) (string, error) {
	if len(given) == 64 && isHex(given) && r.there(given) {
		return given, nil
	}
	if name := strings.TrimPrefix(given, "/"); CheckName(name) == nil {
		if id, err := os.ReadFile(filepath.Join(r.names(), name)); err == nil && r.there(string(id)) {
			return string(id), nil
		}
	}
	if given == "" || !isHex(given) {
		return "", &NotFoundError{Given: given}
	}
	dirs, _ := filepath.Glob(filepath.Join(r.Containers(), given+"*"))
	found := slices.DeleteFunc(dirs, func(dir string) bool { return !r.there(filepath.Base(dir)) })
	switch len(found) {
	case 0:
		return "", &NotFoundError{Given: given}
	case 1:
		return filepath.Base(found[0]), nil
	}
	return "", fmt.Errorf("ambiguous container id prefix %q: %d containers have it", given, len(found))
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
