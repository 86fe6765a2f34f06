// Package placement keeps where a store's layers are, and finds a place for them
// where they cannot lie beside the rest: a scratch, a directory of the user's own on a
// disk of this host.
//
// It looks at names, owners and modes only, as the user himself; what a file system
// can do, package fsprobe finds out in a worker. cli calls it.
package placement

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// Record is what was decided about a store.
type Record struct {
	Version int `json:"version"`
	// Data is the data directory that this is about: of a copy of it elsewhere, or of
	// an archive that was unpacked, this says nothing.
	Data string `json:"data"`
	// Dev is the disk that Data was on.
	Dev uint64 `json:"dev"`
	// Layers is the scratch; empty: the layers are in Data.
	Layers string `json:"layers,omitempty"`
	// FS is the file system of Data, and Why are its faults, where there is a scratch.
	FS  string   `json:"fs,omitempty"`
	Why []string `json:"why,omitempty"`
	// Asked says that the user named the scratch.
	Asked bool `json:"asked,omitempty"`
}

// version is that of the form of the file.
const version = 1

// fileName is in the data directory.
const fileName = "placement.json"

// maxRecord is more than any has, in bytes.
const maxRecord = 1 << 16

// Read reads what was decided about the store in data. ok is false where nothing was,
// or what was does not hold here: then it is to be decided anew.
func Read(data string) (r Record, ok bool) {
	text, err := os.ReadFile(filepath.Join(data, fileName))
	if err != nil || len(text) > maxRecord {
		return Record{}, false
	}
	r, err = parse(text)
	if err != nil {
		return Record{}, false
	}
	return r, r.isOf(data)
}

// Has reports whether a directory bears a record, whatever that says: only data
// directories do.
func Has(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil || len(text) > maxRecord {
		return false
	}
	_, err = parse(text)
	return err == nil
}

func parse(text []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, err
	}
	if r.Version != version || r.Layers != "" && (!filepath.IsAbs(r.Layers) || filepath.Clean(r.Layers) != r.Layers) {
		return Record{}, fmt.Errorf("version %d, layers %q", r.Version, r.Layers)
	}
	return r, nil
}

// isOf says whether a record is about the directory in which it was found. Layers that
// are beside it are so on every disk, but what that can do is to be tried again.
func (r Record) isOf(data string) bool {
	var here, there unix.Stat_t
	if unix.Stat(data, &here) != nil {
		return false
	}
	if r.Layers == "" {
		return here.Dev == r.Dev
	}
	return r.Data == data || unix.Stat(r.Data, &there) == nil && here.Dev == there.Dev && here.Ino == there.Ino
}

// Write writes it down, whole or not at all.
func Write(data string, r Record) error { return WriteFor(data, data, r) }

// WriteFor is Write into a directory that is going to be the data directory.
func WriteFor(dir, data string, r Record) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	r.Version, r.Data, r.Dev = version, data, st.Dev
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, fileName)); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir is linux.SyncDir, where the file system can: homes are on any.
func SyncDir(dir string) error {
	if err := linux.SyncDir(dir); !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}
