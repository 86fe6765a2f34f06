package fuseoverlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// A store whose layers cannot lie where its lists are has them in a scratch: a
// directory on a disk of this host, which a reboot or a cleaner may empty. Its graph
// root is there, with two links to the lists:
//
//	SCRATCH/storage/overlay          layers
//	SCRATCH/storage/overlay-images   -> LISTS/overlay-images
//	SCRATCH/storage/overlay-layers   -> LISTS/overlay-layers
//	SCRATCH/storage/rootlet-*        locks, staging areas
//	SCRATCH/containers/ID            what a container has of its own
//
// so that containers/storage finds everything where it looks, and links are needed
// only where they work.

// listDirs are the directories that stay with the lists.
func listDirs() []string { return []string{filepath.Dir(imagesFile), filepath.Dir(layersFile)} }

// LinkLists makes a scratch's graph root; it does nothing where there is none.
func (c Config) LinkLists() error {
	if c.Lists == "" {
		return nil
	}
	if err := os.MkdirAll(c.GraphRoot, 0o700); err != nil {
		return err
	}
	for _, name := range listDirs() {
		target, link := filepath.Join(c.Lists, name), filepath.Join(c.GraphRoot, name)
		if err := os.MkdirAll(target, 0o700); err != nil {
			return err
		}
		if got, err := os.Readlink(link); err == nil && got == target {
			continue
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// wholeFile is in the directory of each layer in a scratch. It is never opened, and
// younger than the layer's files only by the time that they took: a cleaner that goes
// by age takes it with the first of them.
const wholeFile = "rootlet-whole"

// markWhole says that a layer is there, whole.
func (c Config) markWhole(layer string) error {
	if c.Lists == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(layer, wholeFile), nil, 0o600)
}

// has reports whether a layer that is on the list is there. It is always, but in a
// scratch.
func (c Config) has(layers, id string) bool {
	dir := filepath.Join(layers, id)
	return c.Lists == "" || exists(filepath.Join(dir, wholeFile)) && exists(filepath.Join(dir, "diff"))
}

// Lost are the layers of an image, or with an empty id of all images, that are on the
// list and not there any more. The user himself may ask: it takes no namespace.
func (c Config) Lost(imageID string) ([]string, error) {
	if c.Lists == "" {
		return nil, nil
	}
	v := View{GraphRoot: c.Lists}
	all, err := v.Layers()
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	if imageID != "" {
		img, err := v.Find(imageID)
		if err != nil {
			return nil, err
		}
		ids = all.Below(img.TopLayer)
		if len(ids) == 0 && img.TopLayer != "" {
			ids = []string{img.TopLayer} // it lost even its place on the list
		}
	}
	var lost []string
	for _, id := range ids {
		if !c.has(filepath.Join(c.GraphRoot, driverName), id) {
			lost = append(lost, id)
		}
	}
	return lost, nil
}

// ForgetLost takes the layers off the list that a scratch has lost, so that they can
// be brought in again. Their images stay.
func (s *Store) ForgetLost() error {
	lost, err := s.config.Lost("")
	if err != nil || len(lost) == 0 {
		return err
	}
	unlock, err := s.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(s.config.GraphRoot, layersFile)
	lock, err := lockList(path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	var list []storage.Layer
	if err := (View{GraphRoot: s.config.GraphRoot}).read(layersFile, &list); err != nil {
		return err
	}
	kept, there := []storage.Layer{}, map[string]bool{"": true}
	for _, l := range list { // children come after their parents
		if there[l.Parent] && s.config.has(s.layers, l.ID) {
			kept, there[l.ID] = append(kept, l), true
		} else if err := RemoveTree(filepath.Join(s.layers, l.ID)); err != nil {
			return err
		}
	}
	return writeList(lock, path, kept)
}

// Refill unpacks those layers of an image again that a scratch has lost, from what is
// kept of it. The image is named by its id; o needs OpenLayer and Limits alone.
func Refill(ctx context.Context, c Config, imageID string, o CheckOptions) error {
	if err := c.LinkLists(); err != nil {
		return err
	}
	o.Quick, o.Repair = true, true
	a := newAudit(ctx, c, o)
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, step := range []func() error{a.readImages, a.readLayers, a.checkImages} {
		if err := step(); err != nil {
			return err
		}
	}
	for id, l := range a.wanted {
		if !slices.Contains(l.images, imageID) {
			delete(a.wanted, id)
		}
	}
	a.imagesChanged = false // which is for system check
	for _, step := range []func() error{a.checkLayers, a.checkContents, a.save, a.checkLinks} {
		if err := step(); err != nil {
			return err
		}
	}
	if len(a.broken) > 0 || len(a.wanted) == 0 {
		return &NotKeptError{Image: imageID, Dir: c.GraphRoot}
	}
	return nil
}

// NotKeptError says that an image's layers are gone for good.
type NotKeptError struct{ Image, Dir string }

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("image %s: its layers were in %s and are gone, as by a reboot or a cleaner, and what they came from is not kept", short(e.Image), e.Dir)
}

// Hint says how to have them again.
func (e *NotKeptError) Hint() string { return "pull or load the image again" }

// LostError says that a container cannot be had again: what it had written was in a
// scratch.
type LostError struct{ Dir string }

func (e *LostError) Error() string {
	return fmt.Sprintf("what the container had written was in %s, and is gone: the directory was emptied, as by a reboot or a cleaner", e.Dir)
}

// Hint says what is left to do.
func (e *LostError) Hint() string {
	return "remove the container and make it anew; `rootlet system move --layers DIR` takes the layers to a directory that lasts"
}

// placeFile is in the directory of a container whose own files are elsewhere, and says
// where.
const placeFile = "place"

// ownDir is where a container has its own files: in its directory, or in a scratch.
func ownDir(dir string) string {
	if own, elsewhere := OwnDir(dir); elsewhere {
		return own
	}
	return dir
}

// OwnDir is where the container in dir has its own files, if that is elsewhere. Of a
// store that has been copied its containers say what is the other's: it is not looked
// at, and not removed.
func OwnDir(dir string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(dir, placeFile))
	if err != nil {
		return "", false
	}
	own, of, _ := strings.Cut(string(text), "\n")
	if !filepath.IsAbs(own) || of != filepath.Dir(dir) {
		return "", false
	}
	return own, true
}

// ownPlace is ownDir for who mounts the container. One that is mounted for the first
// time gets a place in the scratch, if the store has one.
func (s *Store) ownPlace(dir string) (string, error) {
	own, elsewhere := OwnDir(dir)
	switch {
	case elsewhere && exists(filepath.Join(own, wholeFile)):
		return own, nil
	case elsewhere || exists(filepath.Join(dir, placeFile)):
		return "", &LostError{cmp.Or(own, "a directory of another store")}
	}
	driver, err := recordedDriver(dir)
	if err != nil || driver != "" || s.config.Lists == "" {
		return dir, err
	}
	own = filepath.Join(filepath.Dir(s.config.GraphRoot), scratchContainers, filepath.Base(dir))
	if err := SetOwnDir(dir, own, filepath.Dir(dir)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return "", err
	}
	return own, s.config.markWhole(own)
}

// scratchContainers is beside the graph root.
const scratchContainers = "containers"

// SetOwnDir has a container's own files be elsewhere. of is where the directories of
// all containers are.
func SetOwnDir(dir, own, of string) error {
	aside := filepath.Join(dir, "."+placeFile)
	if err := os.WriteFile(aside, []byte(own+"\n"+of), 0o600); err != nil {
		return err
	}
	return os.Rename(aside, filepath.Join(dir, placeFile))
}

// RemoveOwn removes what a container has elsewhere, unless that has become somebody
// else's.
func RemoveOwn(dir string) error {
	own, elsewhere := OwnDir(dir)
	if !elsewhere {
		return nil
	}
	for i, above := 0, filepath.Dir(own); i < ownedAbove; i, above = i+1, filepath.Dir(above) {
		var st unix.Stat_t
		if err := unix.Lstat(above, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			return nil
		}
	}
	return RemoveTree(own)
}

// ownedAbove is how many directories above a container's are the user's own: those of
// all containers, of this store, and of all stores.
const ownedAbove = 3
