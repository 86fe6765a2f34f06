package transport

import (
	"fmt"
	"strings"
)

// Kind is a way to keep images, by the name that skopeo gives it.
type Kind string

// The kinds (containers-transports(5)).
const (
	Registry      Kind = "docker"
	OCI           Kind = "oci"
	OCIArchive    Kind = "oci-archive"
	DockerArchive Kind = "docker-archive"
	Dir           Kind = "dir"
)

// Name is an argument that says where an image is, transport included.
type Name struct {
	Kind  Kind
	Path  string // of the file or directory; empty for a registry
	Image string // which one there: a tag, a name, @INDEX; for a registry the whole reference
}

// Parse reads KIND:PATH[:IMAGE] or docker://REFERENCE. ok is false where s has
// no transport in front, and is an image's name or nothing that is known here.
func Parse(s string) (name Name, ok bool, err error) {
	kind, rest, colon := strings.Cut(s, ":")
	if !colon {
		return Name{}, false, nil
	}
	n := Name{Kind: Kind(kind)}
	switch n.Kind {
	case Registry:
		// docker:dind is the image "docker" with a tag.
		n.Image, ok = strings.CutPrefix(rest, "//")
		if ok && n.Image == "" {
			err = fmt.Errorf("%q names no image", s)
		}
		return n, ok, err
	case Dir:
		n.Path = rest
	case OCI, OCIArchive, DockerArchive:
		// The first colon ends the path, as in skopeo, which reads it so
		// everywhere but on Windows.
		n.Path, n.Image, _ = strings.Cut(rest, ":")
	default:
		return Name{}, false, nil
	}
	if n.Path == "" {
		err = fmt.Errorf("%q names no file: %s:PATH", s, kind)
	}
	return n, true, err
}

// IsDir says that the path is a directory, not a file.
func (k Kind) IsDir() bool { return k == OCI || k == Dir }

// String is the argument again.
func (n Name) String() string {
	if n.Kind == Registry {
		return string(n.Kind) + "://" + n.Image
	}
	if n.Image == "" {
		return string(n.Kind) + ":" + n.Path
	}
	return string(n.Kind) + ":" + n.Path + ":" + n.Image
}
