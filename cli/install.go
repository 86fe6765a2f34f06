package cli

import (
	"errors"
	"path/filepath"
	"runtime/debug"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/unpack"
	"rootlet/pull"
	"rootlet/pull/blobs"
	"rootlet/sandbox"
)

// installing is what the user's settings say of every image that comes into the
// store, by whatever command.
type installing struct {
	Limits    pull.Limits `json:"limits"`
	DropBlobs bool        `json:"dropBlobs,omitempty"` // keep-blobs = false
}

// workerMemory is from where on a worker looks for memory that it does not need,
// in bytes; it never needs that much (threats 28).
const workerMemory = 200 << 20

// blobsName is where that is, below the data directory.
const blobsName = "blobs"

// openBlobs opens what is kept of images beside their layers.
func openBlobs(p sandbox.Paths) (*blobs.Store, error) {
	return blobs.Open(filepath.Join(p.Data, blobsName))
}

// blobs opens it to write what an image brings.
func (t *task) blobs() (*blobs.Store, error) {
	kept, err := openBlobs(t.Paths)
	if err != nil {
		return nil, err
	}
	return kept.KeepFree(t.Installing.Limits.FreeDisk), nil
}

// installOptions are those for an image that this worker brings in; its progress
// goes to the command.
func (t *task) installOptions() (pull.Options, error) {
	// A decoder's window, once it is let go, would be kept until as much again has
	// been used; nothing here needs more.
	debug.SetMemoryLimit(workerMemory)
	kept, err := t.blobs()
	return pull.Options{
		Blobs: kept, DropBlobs: t.Installing.DropBlobs, Limits: t.Installing.Limits,
		Events: t.pullEvent,
	}, err
}

// layerLimits are those of the limits that the layer store sees to.
func layerLimits(l pull.Limits) fuseoverlay.LayerLimits {
	return fuseoverlay.LayerLimits{
		Limits:      unpack.Limits{Entries: l.Entries, Bytes: l.LayerSize, Path: l.PathLength, Xattrs: l.XattrSize},
		FreePercent: l.FreeDisk,
	}
}

// liveBlobs are the digests of the blobs that the images in the store name.
func liveBlobs(s *fuseoverlay.Store) (map[string]bool, error) {
	images, err := s.Images()
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, i := range images {
		image, err := s.Image(i.ID)
		if errors.Is(err, fuseoverlay.ErrNoImage) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		for _, digest := range pull.BlobsOf(image.Manifest) {
			live[digest] = true
		}
	}
	return live, nil
}

// dropBlob removes the blob of an image that did not come into the store, unless
// another has it too. That it cannot costs space for a week.
func (t *task) dropBlob(digest string) {
	kept, err := openBlobs(t.Paths)
	if err != nil {
		return
	}
	if live, err := liveBlobs(t.store); err == nil && !live[digest] {
		_ = kept.Remove(digest)
	}
}
