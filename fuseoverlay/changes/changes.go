// Package changes finds out what a container has changed in its root since its
// image, as diff shows it and commit makes a layer of it.
//
// It reads where the changes are kept, never through a mount: the upper
// directory of an overlay, in which there is nothing else, or the whole tree of
// a container whose layers were copied, which is compared with them. Both belong
// to a container that may be running; every name is opened by descriptor and
// none is followed. fuseoverlay calls it, in a worker, in U1.
package changes

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
)

// Kind is what happened to a name, in Docker's letters.
type Kind string

// The kinds of changes.
const (
	Added    Kind = "A"
	Modified Kind = "C"
	Deleted  Kind = "D"
)

// Change is one name that is not as in the image.
type Change struct {
	Kind Kind   `json:"kind"`
	Path string `json:"path"` // absolute
}

// Source is what is compared.
type Source struct {
	// Own is the container's own directory.
	Own Layer
	// Whole says that Own is all of the root: what it lacks was deleted, and
	// what it has may be as it was.
	Whole bool
	// Image are its layers.
	Image Layers
	// UID and GID give the owner in the image's terms of a file of Own; nil where
	// that is its owner.
	UID, GID func(uint32) uint32
	// Copied is when a whole root had been copied; what has not been touched
	// since is as it was. Zero means that it is not known.
	Copied unix.Timespec
	// Skip names paths that are not the container's doing.
	Skip func(path string) bool
}

// List lists the changes, sorted by path; a directory is changed where anything
// in it is.
func (s Source) List() ([]Change, error) {
	w := &walk{Source: s}
	if _, err := w.dir(s.Own, s.Image, "/", s.Whole); err != nil {
		return nil, err
	}
	slices.SortFunc(w.list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return w.list, nil
}

// RootChanged says whether the root directory itself looks other than the
// image's.
func (s Source) RootChanged() (bool, error) {
	var own unix.Stat_t
	if err := unix.Fstat(s.Own.FD, &own); err != nil || len(s.Image) == 0 {
		return true, err
	}
	below := &found{dir: s.Image[0].FD}
	if err := unix.Fstat(s.Image[0].FD, &below.Stat_t); err != nil {
		return true, err
	}
	return !(&walk{Source: s}).looksSame(s.Own.FD, ".", &own, below), nil
}

// walk is one call of List.
type walk struct {
	Source
	list []Change
}

func (w *walk) add(kind Kind, at string) { w.list = append(w.list, Change{kind, at}) }

// dir compares a directory with the image's, and reports whether anything in it
// has changed. whole says that own hides what the image has there.
func (w *walk) dir(own Layer, image Layers, at string, whole bool) (bool, error) {
	names, err := tree.ReadNames(own.FD)
	if err != nil {
		return false, fmt.Errorf("read %q: %w", at, err)
	}
	changed := false
	for _, name := range names {
		differs, err := w.entry(own, image, name, at, whole)
		if err != nil {
			return false, err
		}
		changed = changed || differs
	}
	if !whole {
		return changed, nil
	}
	missing, err := w.missing(own, image, at)
	return changed || missing, err
}

// missing reports what a directory that hides the image's no longer has.
func (w *walk) missing(own Layer, image Layers, at string) (bool, error) {
	names, err := image.names()
	if err != nil {
		return false, fmt.Errorf("%q of the image: %w", at, err)
	}
	gone := false
	for _, name := range names {
		here := path.Join(at, name)
		f, err := Layers{own}.find(name)
		if err != nil {
			return false, err
		}
		if f == nil && !w.Skip(here) {
			w.add(Deleted, here)
			gone = true
		}
	}
	return gone, nil
}

// entry compares one name.
func (w *walk) entry(own Layer, image Layers, name, in string, whole bool) (bool, error) {
	hidden, isMark := strings.CutPrefix(name, whiteoutPrefix)
	if isMark = isMark && own.Fuse; isMark {
		if name == opaqueName {
			return false, nil
		}
		name = hidden
	}
	at := path.Join(in, name)
	if w.Skip(at) {
		return false, nil
	}
	below, err := image.find(name)
	if err != nil {
		return false, fmt.Errorf("%q of the image: %w", at, err)
	}
	var st unix.Stat_t
	if !isMark {
		err = unix.Fstatat(own.FD, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil // gone meanwhile
	case err != nil:
		return false, fmt.Errorf("stat %q: %w", at, err)
	case isMark || isWhiteout(&st):
		if below != nil && !whole {
			w.add(Deleted, at)
		}
		return below != nil, nil
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return w.subdir(own, image, name, at, whole, &st, below)
	case below == nil:
		w.add(Added, at)
		return true, nil
	}
	if w.Whole {
		same, err := w.sameFile(own.FD, name, &st, below)
		if err != nil || same {
			return false, err
		}
	}
	w.add(Modified, at)
	return true, nil
}

// subdir compares a directory, and what is in it.
func (w *walk) subdir(own Layer, image Layers, name, at string, whole bool, st *unix.Stat_t, below *found) (bool, error) {
	fd, err := unix.Openat(own.FD, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("open %q: %w", at, err)
	}
	inside := Layer{FD: fd, Fuse: own.Fuse}
	defer unix.Close(fd)
	var imageInside Layers
	if below.isDir() {
		if imageInside, err = image.enter(name); err != nil {
			return false, err
		}
		defer imageInside.Close()
	}
	changed, err := w.dir(inside, imageInside, at, whole || inside.Opaque())
	if err != nil {
		return false, err
	}
	switch {
	case below == nil:
		w.add(Added, at)
	case changed || !below.isDir() || !w.looksSame(own.FD, name, st, below):
		w.add(Modified, at)
	default:
		return false, nil
	}
	return true, nil
}
