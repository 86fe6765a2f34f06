package pull

import (
	"context"
	"io"
	"time"
)

// Store is where layers and images go. All its methods but PutImage may
// be called from several goroutines at once.
type Store interface {
	// HasLayer reports whether a layer, and with it all below it, is there.
	HasLayer(chainID string) (bool, error)

	// LayerBlob is the digest of the blob that a layer was unpacked from, empty
	// where that is not known.
	LayerBlob(chainID string) (string, error)

	// EnterInstall begins bringing an image in: layers that are there stay, until
	// leave is called, after PutImage or a failure. Layers that were committed and
	// have no image then are removed by the last to leave.
	EnterInstall() (leave func() error, err error)

	// LockLayer reserves a layer that is not there for this caller, across all
	// processes. It does not wait: ok is false where another has it.
	LockLayer(chainID string) (unlock func(), ok bool, err error)

	// StageLayer unpacks an uncompressed tar stream where nobody sees it.
	// Layers come in any order, several at once. Reading ends with io.EOF only
	// if size, digest and DiffID were right, so a store that reads to the end
	// never stages a lie; one that stops at the tar's end may, and it is then
	// discarded. An error that has a method LimitKey names one of the limits.
	StageLayer(ctx context.Context, tar io.Reader, limits Limits) (StagedLayer, error)

	// PutImage records an image whose layers are all committed, and gives it
	// its names, taking them from the image that had them.
	PutImage(ImageRecord) error

	// LookUp finds the image that bears a full name (Reference.Name).
	LookUp(name string) (imageID, digest string, ok bool, err error)

	// LiveBlobs are the digests of the layers' blobs of all images (BlobsOf).
	LiveBlobs() (map[string]bool, error)
}

// StagedLayer is an unpacked layer that is not yet part of the store.
type StagedLayer interface {
	// Commit makes the layer visible. Its parent is committed before it. That
	// another pull committed the same layer meanwhile is no error: the staged
	// copy goes.
	Commit(LayerRecord) error

	// Discard takes the staged layer away. After Commit it does nothing.
	Discard() error
}

// LayerRecord is what the store is to remember of a layer.
type LayerRecord struct {
	ChainID    string // names the layer with all that lies below it (OCI image-spec config.md)
	Parent     string // the ChainID below, empty for the lowest
	DiffID     string // digest of the uncompressed tar
	BlobDigest string // digest of what the registry served
	Size       int64  // of the uncompressed tar, in bytes
}

// ImageRecord is what the store is to remember of an image.
type ImageRecord struct {
	ID       string // hexadecimal digest of Config, without "sha256:"
	Digest   string // what the name stood for: of the index where there is one, else of Manifest
	TopLayer string // ChainID, empty for an image without layers
	Names    []string
	Manifest []byte // of the chosen platform
	Config   []byte
	Created  time.Time // zero where the image does not say
	Shared   bool      // it came from an image store of others, whose names for it may move
}
