package cli

import (
	"errors"
	"path/filepath"

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

// blobsName is where that is, below the data directory.
const blobsName = "blobs"

// openBlobs opens what is kept of images beside their layers.
func openBlobs(p sandbox.Paths) (*blobs.Store, error) {
	return blobs.Open(filepath.Join(p.Data, blobsName))
}

// installOptions are those for an image that this worker brings in; its progress
// goes to the command.
func (t *task) installOptions() (pull.Options, error) {
	kept, err := openBlobs(t.Paths)
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
