package fuseoverlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/ioutils"
	"golang.org/x/sys/unix"
)

// PutImage adds an image whose layers are all there, or gives one that exists
// more names. A name that another image had moves to this one.
//
// An image is on the list with its names and its data, or is not. containers/storage's
// own CreateImage puts it there first and the rest later, and a process that
// dies in between leaves an image that is there and cannot be used.
func (s *Store) PutImage(r ImageRecord) error {
	if err := s.putImage(r); err != nil {
		return fmt.Errorf("store image %s: %w", r.ID, err)
	}
	return nil
}

func (s *Store) putImage(r ImageRecord) error {
	id, err := layerID(r.ID)
	if err != nil {
		return err
	}
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := s.newRecord(id, r)
	if err != nil {
		return err
	}
	if err := s.writeData(id, r); err != nil {
		return err
	}
	err = s.editImages(func(list []storage.Image) []storage.Image { return withImage(list, rec) })
	if err != nil {
		return err
	}
	s.keepCopies()
	s.unmarkImage(id)
	return nil
}

// newRecord is what the list is to say of an image.
func (s *Store) newRecord(id string, r ImageRecord) (storage.Image, error) {
	rec := storage.Image{
		ID: id, Digest: digest.Digest(r.Digest), Names: r.Names, NamesHistory: r.Names, Created: r.Created,
		BigDataNames:   []string{manifestKey, configKey},
		BigDataSizes:   map[string]int64{manifestKey: int64(len(r.Manifest)), configKey: int64(len(r.Config))},
		BigDataDigests: map[string]digest.Digest{manifestKey: digest.FromBytes(r.Manifest), configKey: digest.FromBytes(r.Config)},
	}
	if rec.Created.IsZero() {
		rec.Created = time.Now().UTC()
	}
	if err := rec.Digest.Validate(); r.Digest != "" && err != nil {
		return rec, err
	}
	if r.TopLayer != "" {
		var err error
		if rec.TopLayer, err = layerID(r.TopLayer); err != nil {
			return rec, err
		}
	}
	size, err := s.chainSize(rec.TopLayer)
	if err != nil {
		return rec, err
	}
	described := imageNotes{Version: 1, Size: size}
	if r.Shared {
		described.Shared = r.Names
	}
	notes, err := json.Marshal(described)
	rec.Metadata = string(notes)
	return rec, err
}

// writeData writes an image's data. Those of one that is not on the list are
// marked until it is: they are not what a lost record has left.
func (s *Store) writeData(id string, r ImageRecord) error {
	dir := s.imageDir(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := s.store.Image(id); errors.Is(err, storage.ErrImageUnknown) {
		err = os.WriteFile(filepath.Join(dir, removedMark), nil, 0o600)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := ioutils.AtomicWriteFile(filepath.Join(dir, manifestKey), r.Manifest, 0o600); err != nil {
		return err
	}
	return ioutils.AtomicWriteFile(filepath.Join(dir, configKey), r.Config, 0o600)
}

// withImage is the list with an image on it, or with what is new of one that is
// there already: names, and a manifest, for the same image may come compressed
// anew.
func withImage(list []storage.Image, rec storage.Image) []storage.Image {
	there := false
	for i := range list {
		known := &list[i]
		known.Names = slices.DeleteFunc(known.Names, func(name string) bool { return slices.Contains(rec.Names, name) })
		if known.ID == rec.ID {
			there = true
			known.Names = slices.Concat(rec.Names, known.Names)
			known.Metadata = withShared(known, rec)
			known.BigDataNames, known.BigDataSizes, known.BigDataDigests = rec.BigDataNames, rec.BigDataSizes, rec.BigDataDigests
		}
	}
	if there {
		return list
	}
	return append(list, rec)
}

// withShared are the notes on an image that is there and gets names: one that it is
// given here is its own from now on, wherever it was from.
func withShared(known *storage.Image, rec storage.Image) string {
	var old, given imageNotes
	if json.Unmarshal([]byte(known.Metadata), &old) != nil || json.Unmarshal([]byte(rec.Metadata), &given) != nil {
		return rec.Metadata
	}
	for _, name := range old.Shared {
		if !slices.Contains(rec.Names, name) {
			given.Shared = append(given.Shared, name)
		}
	}
	notes, err := json.Marshal(given)
	if err != nil {
		return rec.Metadata
	}
	return string(notes)
}

// ownName are the notes on an image to which the user himself gives a name that it had
// from an image store; given says that it had.
func ownName(rec *storage.Image, name string) (notes string, given bool) {
	if !slices.Contains(describe(rec).Shared, name) {
		return "", false
	}
	size := describe(rec).Size
	own := storage.Image{Names: []string{name}, Metadata: fmt.Sprintf(`{"version":1,"size":%d}`, size)}
	return withShared(rec, own), true
}

// unmarkImage takes the mark of an image away that is on the list now. If it
// cannot, unmarkImages does later.
func (s *Store) unmarkImage(id string) { _ = os.Remove(filepath.Join(s.imageDir(id), removedMark)) }

// unmarkImages is unmarkImage for all that are on the list.
func (s *Store) unmarkImages() error {
	marks, err := filepath.Glob(filepath.Join(s.imageDir("[0-9a-f]*"), removedMark))
	if err != nil || len(marks) == 0 {
		return err
	}
	for _, mark := range marks {
		id := filepath.Base(filepath.Dir(mark))
		if _, err := s.store.Image(id); err == nil {
			s.unmarkImage(id)
		}
	}
	return nil
}
