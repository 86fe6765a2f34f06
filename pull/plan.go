package pull

import (
	"context"
	"io"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// plan is an image that is known to its last digest, and where its layers come
// from.
type plan struct {
	ImageRecord
	layers []*layer
}

// openBlob opens a layer's blob wherever it comes from.
type openBlob func(context.Context, v1.Descriptor) (io.ReadCloser, error)

func (p *plan) addLayers(blobs []v1.Descriptor, diffIDs []string, open openBlob) error {
	parent := ""
	for i, chainID := range chainIDs(diffIDs) {
		d := blobs[i]
		f, err := layerFormat(d.MediaType)
		if err != nil {
			return err
		}
		p.layers = append(p.layers, &layer{
			LayerRecord: LayerRecord{ChainID: chainID, Parent: parent, DiffID: diffIDs[i], BlobDigest: d.Digest.String()},
			format:      f,
			blobSize:    d.Size,
			open:        func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, d) },
		})
		parent = chainID
	}
	p.TopLayer = parent
	return nil
}

// install brings the missing layers into the store, and last the image, under
// its names. On any error it takes back what it did.
func (p *plan) install(ctx context.Context, o Options, store Store) (err error) {
	missing, err := p.missing(store, o.Events)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = discardAll(missing) // the first error counts
		}
	}()
	parallel := o.Parallel
	if parallel <= 0 {
		parallel = min(max(runtime.GOMAXPROCS(0)+1, leastParallel), mostParallel)
	}
	if err := stageAll(ctx, missing, parallel, store); err != nil {
		return err
	}
	if err := commitAll(ctx, missing); err != nil {
		return err
	}
	return store.PutImage(p.ImageRecord)
}

// missing lists the layers that the store does not have. A layer is there only
// with all that lie below it, so the search goes from the top down.
func (p *plan) missing(store Store, events func(Event)) ([]*layer, error) {
	report := &reporter{sink: events}
	for i, l := range p.layers {
		l.progress = &progress{to: report, last: Event{Index: i, Layer: l.BlobDigest, Size: l.blobSize}}
	}
	have := len(p.layers)
	for ; have > 0; have-- {
		ok, err := store.HasLayer(p.layers[have-1].ChainID)
		if err != nil {
			return nil, err
		}
		if ok {
			break
		}
	}
	for i, l := range p.layers {
		if i < have {
			l.progress.state(Exists)
		} else {
			l.progress.state(Waiting)
		}
	}
	return p.layers[have:], nil
}
