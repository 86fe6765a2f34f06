package transport

import (
	"context"
	"fmt"
	"os"

	"rootlet/pull"
)

// Listed is one image of a layout or archive.
type Listed struct {
	Identifier string   // what Source.Manifest takes
	Names      []string // full names (pull.Reference.Name), as far as it has any
}

// Store is where images are kept in files.
type Store interface {
	pull.Source

	// Images lists all there are, in the order in which they stand there.
	Images() ([]Listed, error)

	// Find looks one image up by what the user calls it; "" is the only one.
	Find(image string) (Listed, error)
}

// Open reads what kind of store is in an open file or directory, and what is in
// it. The empty kind stands for whatever it turns out to be. The file must be
// seekable and not compressed; closing the store closes it.
func Open(ctx context.Context, f *os.File, kind Kind) (Store, error) {
	store, err := open(ctx, f, kind)
	if err != nil {
		f.Close()
	}
	return store, err
}

func open(ctx context.Context, f *os.File, kind Kind) (Store, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if kind != "" && kind != DockerArchive && kind.IsDir() != info.IsDir() {
		if info.IsDir() {
			return nil, fmt.Errorf("is a directory, and %s is a file", kind)
		}
		return nil, fmt.Errorf("is a file, and %s is a directory", kind)
	}
	var from files = directory{f}
	if !info.IsDir() {
		if from, err = readArchive(f); err != nil {
			return nil, err
		}
	}
	return sort(ctx, from, kind)
}

// sort tells the kinds apart as Docker does: what has an oci-layout is one,
// whatever else there is for older readers.
func sort(ctx context.Context, from files, kind Kind) (Store, error) {
	switch {
	case kind == Dir:
		return openDir(from)
	case has(from, layoutFile), kind == OCI, kind == OCIArchive:
		return openLayout(from, kind)
	case has(from, manifestFile):
		if has(from, dirVersionFile) {
			return openDir(from)
		}
		return openDocker(ctx, from)
	case has(from, repositoriesFile):
		return openLegacy(ctx, from)
	}
	return nil, errNoArchive
}
