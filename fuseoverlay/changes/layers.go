package changes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
	"rootlet/fuseoverlay/unpack"
)

// Layer is a directory of a layer, open.
type Layer struct {
	FD int
	// Fuse says that fuse-overlayfs has written it, which hides names by files
	// where it cannot make devices.
	Fuse bool
}

// Layers is one directory as several layers show it, the topmost first.
type Layers []Layer

// fuse-overlayfs's files for what it hides (its fuse-overlayfs.1).
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// found is where a name is: the topmost layer that has it.
type found struct {
	unix.Stat_t
	dir int // the layer's directory
}

func (f *found) isDir() bool { return f != nil && f.Mode&unix.S_IFMT == unix.S_IFDIR }

// find looks a name up; nil says that no layer has it, or that one hides it.
func (l Layers) find(name string) (*found, error) {
	for _, layer := range l {
		f := &found{dir: layer.FD}
		err := unix.Fstatat(layer.FD, name, &f.Stat_t, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case errors.Is(err, unix.ENOENT):
			if layer.hides(name) {
				return nil, nil
			}
		case err != nil:
			return nil, fmt.Errorf("stat %q: %w", name, err)
		case isWhiteout(&f.Stat_t) || layer.Fuse && strings.HasPrefix(name, whiteoutPrefix):
			return nil, nil
		default:
			return f, nil
		}
	}
	return nil, nil
}

// hides says that a layer has a file in the place of a device that hides a name.
func (l Layer) hides(name string) bool {
	if !l.Fuse {
		return false
	}
	var st unix.Stat_t
	return unix.Fstatat(l.FD, whiteoutPrefix+name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// isWhiteout says that a file is the device that hides a name: no driver has it,
// and no container can make it.
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// enter opens a directory of this one, in every layer whose own shows; the
// caller closes it.
func (l Layers) enter(name string) (Layers, error) {
	var inside Layers
	for _, layer := range l {
		fd, err := unix.Openat(layer.FD, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) && !layer.hides(name) {
			continue
		}
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			break // a whiteout or a file: what is further down is hidden
		}
		if err != nil {
			inside.Close()
			return nil, fmt.Errorf("open %q: %w", name, err)
		}
		in := Layer{FD: fd, Fuse: layer.Fuse}
		inside = append(inside, in)
		if in.Opaque() {
			break
		}
	}
	return inside, nil
}

// Close closes all of it.
func (l Layers) Close() {
	for _, layer := range l {
		unix.Close(layer.FD)
	}
}

// Opaque says that a directory hides those below it: in the words of the
// kernel's overlay, or of fuse-overlayfs.
func (l Layer) Opaque() bool {
	for _, name := range []string{unpack.OpaqueXattr, "user.fuseoverlayfs.opaque", "trusted.overlay.opaque"} {
		if value, err := tree.GetXattr(l.FD, name); err == nil && string(value) == "y" {
			return true
		}
	}
	var st unix.Stat_t
	return l.Fuse && unix.Fstatat(l.FD, opaqueName, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// names lists what shows, in order.
func (l Layers) names() ([]string, error) {
	var all []string
	decided := map[string]bool{} // by a layer further up
	for _, layer := range l {
		names, err := tree.ReadNames(layer.FD)
		if err != nil {
			return nil, fmt.Errorf("read directory: %w", err)
		}
		for _, name := range names {
			if layer.Fuse && strings.HasPrefix(name, whiteoutPrefix) {
				name, _ = strings.CutPrefix(name, whiteoutPrefix)
			}
			if decided[name] {
				continue
			}
			decided[name] = true
			f, err := l.find(name)
			if err != nil {
				return nil, err
			}
			if f != nil {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all, nil
}
