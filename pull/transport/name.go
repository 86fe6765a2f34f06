package transport

import (
	"fmt"
	"slices"
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

// transports are the others that there are elsewhere.
const transports = "atomic containers-storage docker-daemon ostree sif tarball"

// Misplaced says of what is no image's name whether that is for its transport: one
// that is not known, or that has no place where only names do. It is nil for
// what has none.
func Misplaced(given string) error {
	kind, rest, _ := strings.Cut(given, ":")
	name, url := strings.CutPrefix(rest, "//")
	switch k := Kind(kind); {
	case k == Registry && url:
		return fmt.Errorf("%q: an image that is here is named without a transport: %s", given, name)
	case k == OCI, k == OCIArchive, k == DockerArchive, k == Dir:
		return fmt.Errorf("%q: an image that is here is named without a transport; pull, run, create and the destination of push take one", given)
	case slices.Contains(strings.Fields(transports), kind), url && kind != "" && !strings.ContainsAny(kind, "/.@"):
		return fmt.Errorf("%q: the transport %s is not known; %s://, %s:, %s:, %s: and %s: are", given, kind, Registry, OCI, OCIArchive, DockerArchive, Dir)
	}
	return nil
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
