package pull

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registry"
)

// Source is where an image comes from: a repository in a registry, or a layout
// or archive on disk. Any number of goroutines may use it. Digests are the
// caller's to compare; a source compares sizes.
type Source interface {
	// Manifest reads the manifest or index that a tag or digest names, of at
	// most registry.MaxDocument bytes, and the media type it came with. The empty
	// identifier names the only one there is.
	Manifest(ctx context.Context, identifier string) ([]byte, types.MediaType, error)

	// Blob opens a blob of size bytes at an offset. Reading it ends with io.EOF
	// only after exactly the bytes that are left.
	Blob(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error)

	Close() error
}

// Local is a Source whose blobs are on this host: they come fast, and need not be
// kept half fetched.
type Local interface{ Local() bool }

// BlobOpener opens a blob that is to be sent at an offset, as often as it takes.
type BlobOpener = func(offset int64) (io.ReadCloser, error)

// Target is where an image goes. Blobs may be put side by side; a manifest
// comes after all that it names.
type Target interface {
	// HasBlob reports whether the blob need not be sent.
	HasBlob(ctx context.Context, d v1.Descriptor) (bool, error)

	// PutBlob sends a blob; a target that finds a shorter way need not read it.
	PutBlob(ctx context.Context, d v1.Descriptor, from BlobOpener) error

	// PutManifest stores a manifest or index under a tag or its own digest.
	PutManifest(ctx context.Context, identifier string, body []byte, mediaType types.MediaType) error

	Close() error
}

var (
	_ Source = (*registry.Client)(nil)
	_ Target = (*registry.Client)(nil)
)
