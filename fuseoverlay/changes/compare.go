package changes

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Compare lists what differs between two roots that layers make: what own has
// that image lacks is added. Sorted by path; a directory is changed where
// anything in it is.
func Compare(own, image Layers) ([]Change, error) {
	w := &walk{}
	if _, err := w.compareDir(own, image, "/"); err != nil {
		return nil, err
	}
	slices.SortFunc(w.list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return w.list, nil
}

func (w *walk) compareDir(own, image Layers, at string) (bool, error) {
	names, err := own.names()
	if err != nil {
		return false, fmt.Errorf("%q: %w", at, err)
	}
	others, err := image.names()
	if err != nil {
		return false, fmt.Errorf("%q: %w", at, err)
	}
	names = append(names, others...)
	slices.Sort(names)
	changed := false
	for _, name := range slices.Compact(names) {
		differs, err := w.compareEntry(own, image, name, path.Join(at, name))
		if err != nil {
			return false, fmt.Errorf("%q: %w", path.Join(at, name), err)
		}
		changed = changed || differs
	}
	return changed, nil
}

func (w *walk) compareEntry(own, image Layers, name, at string) (bool, error) {
	now, err := own.find(name)
	if err != nil {
		return false, err
	}
	was, err := image.find(name)
	if err != nil {
		return false, err
	}
	inside, err := w.compareInside(own, image, name, at, now, was)
	if err != nil {
		return false, err
	}
	switch {
	case now == nil && was == nil:
		return false, nil
	case now == nil:
		w.add(Deleted, at)
		return true, nil
	case was == nil:
		w.add(Added, at)
		return true, nil
	}
	same, err := w.sameEntry(name, now, was)
	if err != nil || same && !inside {
		return false, err
	}
	w.add(Modified, at)
	return true, nil
}

// compareInside compares what is in two directories of one name. What was in one
// that is gone goes without saying.
func (w *walk) compareInside(own, image Layers, name, at string, now, was *found) (bool, error) {
	if !now.isDir() {
		return false, nil
	}
	ownInside, err := own.enter(name)
	if err != nil {
		return false, err
	}
	defer ownInside.Close()
	var imageInside Layers
	if was.isDir() {
		if imageInside, err = image.enter(name); err != nil {
			return false, err
		}
		defer imageInside.Close()
	}
	return w.compareDir(ownInside, imageInside, at)
}

func (w *walk) sameEntry(name string, now, was *found) (bool, error) {
	if now.Dev == was.Dev && now.Ino == was.Ino {
		return true, nil
	}
	if now.isDir() || now.Mode&unix.S_IFMT != was.Mode&unix.S_IFMT {
		return w.looksSame(now.dir, name, &now.Stat_t, was), nil
	}
	return w.sameFile(now.dir, name, &now.Stat_t, was)
}
