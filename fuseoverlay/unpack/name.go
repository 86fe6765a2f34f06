package unpack

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// cleanName makes an entry's name relative to the layer's root: "." is the
// root, an absolute name is taken from there, and one that climbs out of it is
// refused. It only shapes the text; that no symlink leads outside is the
// kernel's business (openInRoot).
func cleanName(name string, most int) (string, error) {
	if len(name) > most {
		return "", &LimitError{Key: keyPath, What: "bytes of a name", Max: int64(most)}
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", errors.New("name leads outside the layer")
	}
	return clean, nil
}

// split cuts a cleaned name into its directory, "." for the root, and the rest.
func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ".", name
	}
	return name[:i], name[i+1:]
}

// entryKind is what a name means for the layers below.
type entryKind int

const (
	entryPlain    entryKind = iota
	entryWhiteout           // hides one name of the layers below
	entryOpaque             // hides all of the directory it is in
	entryIgnored            // aufs's own business
)

// Whiteouts as in the OCI image specification, layer.md.
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	aufsPrefix     = ".wh..wh."
)

// classify says what the cleaned name means, and which base name it is about.
func classify(name string) (entryKind, string, error) {
	dir, base := split(name)
	if strings.HasPrefix(dir, whiteoutPrefix) || strings.Contains(dir, "/"+whiteoutPrefix) {
		if strings.HasPrefix(dir, aufsPrefix) || strings.Contains(dir, "/"+aufsPrefix) {
			return entryIgnored, "", nil
		}
		// fuse-overlayfs would take the directory for a whiteout.
		return 0, "", errors.New("lies in a whiteout")
	}
	hidden, isWhiteout := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case !isWhiteout:
		return entryPlain, base, nil
	case base == opaqueName:
		return entryOpaque, base, nil
	case strings.HasPrefix(base, aufsPrefix):
		return entryIgnored, "", nil
	case hidden == "" || hidden == "." || hidden == "..":
		return 0, "", fmt.Errorf("whiteout of %q", hidden)
	}
	return entryWhiteout, hidden, nil
}
