package pull

import (
	"context"
	"errors"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"rootlet/pull/registry"
)

// plan is an image that is known to its last digest, and where its layers come
// from.
type plan struct {
	ImageRecord
	layers []*layer
}

// openBlob opens a layer's blob at an offset, wherever it comes from.
type openBlob func(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error)

func (p *plan) addLayers(blobs []v1.Descriptor, diffIDs []string, open openBlob) error {
	parent := ""
	for i, chainID := range chainIDs(diffIDs) {
		d := blobs[i]
		f, err := layerFormat(d.MediaType)
		if err != nil {
			return err
		}
		l := &layer{
			LayerRecord: LayerRecord{ChainID: chainID, Parent: parent, DiffID: diffIDs[i], BlobDigest: d.Digest.String()},
			format:      f,
			blobSize:    d.Size,
			open:        func(ctx context.Context, offset int64) (io.ReadCloser, error) { return open(ctx, d, offset) },
			done:        make(chan struct{}),
		}
		if i > 0 {
			l.below = p.layers[i-1]
		}
		p.layers = append(p.layers, l)
		parent = chainID
	}
	p.TopLayer = parent
	return nil
}

// install brings the missing layers and blobs into the store, and last the
// image. Layers that were committed before an error are the store's to remove;
// blobs stay for the next try, unless the image is at fault.
func (p *plan) install(ctx context.Context, o Options, store Store) (err error) {
	o.Limits = o.Limits.orDefaults()
	if err := o.Limits.check(p.layers); err != nil {
		return err
	}
	leave, err := store.EnterInstall()
	if err != nil {
		return err
	}
	defer func() { _ = leave() }() // what it could not remove, the next one will
	missing, err := p.missing(o, store)
	if err != nil {
		return err
	}
	defer func() {
		if o.Blobs != nil {
			p.tidy(missing, err, o, store)
		}
	}()
	if err := bring(ctx, missing, o, store); err != nil {
		return err
	}
	return store.PutImage(p.ImageRecord)
}

// missing lists the layers that the store does not have, and those of which it
// has no blob though it is to keep them. A layer is there only with all that lie
// below it, so the search goes from the top down.
func (p *plan) missing(o Options, store Store) ([]*layer, error) {
	report := &reporter{sink: o.Events}
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
	var missing []*layer
	for i, l := range p.layers {
		l.hadBlob = o.Blobs != nil && o.Blobs.Has(l.BlobDigest)
		if l.there = i < have; l.there {
			from, err := store.LayerBlob(l.ChainID)
			if err != nil {
				return nil, err
			}
			l.vouched = from == l.BlobDigest
		}
		switch {
		case !l.there, o.keepsBlobs() && !(l.hadBlob && l.vouched):
			l.progress.state(Waiting)
			missing = append(missing, l)
		default:
			l.progress.state(Exists)
		}
		if l.there {
			close(l.done)
		}
	}
	return missing, nil
}

// blobAge is how long a blob stays that no image has: of a pull that was broken
// off and may be tried again.
const blobAge = 7 * 24 * time.Hour

// tidy removes the blobs that this install, which ended with err, should not
// leave, and those that others have left too long ago. What cannot be removed now
// can the next time.
func (p *plan) tidy(brought []*layer, err error, o Options, store Store) {
	live, liveErr := store.LiveBlobs()
	if liveErr != nil {
		return
	}
	if err == nil && o.DropBlobs || err != nil && !isPassing(err) {
		for _, l := range brought {
			if !l.hadBlob && (err == nil || !live[l.BlobDigest]) {
				_ = o.Blobs.Remove(l.BlobDigest)
			}
		}
	}
	_, _ = o.Blobs.Sweep(live, blobAge)
}

// isPassing says that an install was broken off or lost its source, and may go on
// another time where it was.
func isPassing(err error) bool {
	var status *registry.StatusError
	var network *registry.NetworkError
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, registry.ErrTruncated) || errors.As(err, &status) || errors.As(err, &network)
}
