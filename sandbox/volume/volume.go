// Package volume keeps volumes: directories that outlive the containers that
// they are mounted in.
//
// Each is a directory below volumes/: volume.json says what it is and never
// changes, _data is what containers see, and lock tells who is using it. There
// is no list beside the directories, so a damaged record hides no other volume.
// What containers there are, and which of them name a volume, is for the caller
// to know (Users). Reading takes no lock and needs no namespace. What is in a
// volume belongs to many ids: Use, Remove and Sweep are for processes in U1, the
// monitor and the worker.
package volume

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"rootlet/sandbox/record"
)

// Version is that of Volume. One of another version is not guessed at.
const Version = 1

// Volume says what a volume is.
type Volume struct {
	Version   int               `json:"version"`
	Name      string            `json:"name"`
	Created   time.Time         `json:"created"`
	Anonymous bool              `json:"anonymous,omitempty"` // nobody chose its name: see Store.Remove's callers
	Labels    map[string]string `json:"labels,omitempty"`
	Options   map[string]string `json:"options,omitempty"` // of the driver, as given: see CheckOptions
}

// nameRule is Docker's for the name of a volume.
var nameRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// CheckName reports whether name may be a volume's.
func CheckName(name string) error {
	if !nameRule.MatchString(name) || len(name) > 255 {
		return fmt.Errorf("invalid volume name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed; a path begins with / or ./", name)
	}
	return nil
}

// RandomName is the name of an anonymous volume.
func RandomName() string {
	var raw [32]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// NotFoundError says that there is no volume of a name.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("get %s: no such volume", e.Name) }

// Store is the directory with all volumes.
type Store string

// In is the store in rootlet's data directory.
func In(dataDir string) Store { return Store(filepath.Join(dataDir, "volumes")) }

const (
	recordFile = "volume.json"
	dataDir    = "_data"
)

func (s Store) dir(name string) string { return filepath.Join(string(s), name) }

// Mountpoint is where a volume's content is on the host.
func (s Store) Mountpoint(name string) string { return filepath.Join(s.dir(name), dataDir) }

// Entry is one volume as a reader finds it. Err says why its record could not be
// read; the name is always there.
type Entry struct {
	Volume
	Err error
}

// List reads all volumes, in the order of their names.
func (s Store) List() ([]Entry, error) {
	dirs, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), ".") {
			continue
		}
		v, err := s.Inspect(d.Name())
		var gone *NotFoundError
		if !errors.As(err, &gone) {
			entries = append(entries, Entry{Volume: v, Err: err})
		}
	}
	return entries, nil
}

// Inspect reads one volume. It returns a *NotFoundError where there is none.
func (s Store) Inspect(name string) (Volume, error) {
	v := Volume{Name: name}
	if CheckName(name) != nil {
		return v, &NotFoundError{name}
	}
	path := filepath.Join(s.dir(name), recordFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.dir(name)); errors.Is(err, fs.ErrNotExist) {
			return v, &NotFoundError{name}
		}
	}
	if err != nil {
		return v, fmt.Errorf("volume %s: %w", name, err)
	}
	var read Volume
	if err := json.Unmarshal(text, &read); err != nil {
		return v, fmt.Errorf("volume %s: %s is damaged: %w", name, path, err)
	}
	if read.Version != Version {
		return v, fmt.Errorf("volume %s: record of version %d, this rootlet reads version %d", name, read.Version, Version)
	}
	read.Name = name // where it is says more than what it says
	return read, nil
}

// Users lists the containers, running or not, that each volume is mounted in: by
// the volume's name, their ids.
func Users(root record.Root) (map[string][]string, error) {
	entries, err := root.List()
	return UsedBy(entries), err
}

// UsedBy is Users among these containers.
func UsedBy(entries []record.Entry) map[string][]string {
	users := map[string][]string{}
	for _, e := range entries {
		for _, m := range e.Spec.Mounts {
			if m.Type == record.Volume {
				users[m.Source] = append(users[m.Source], e.ID)
			}
		}
	}
	return users
}
