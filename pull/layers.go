package pull

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
)

// stageAll stages layers, a few at once. The largest goes first, or it would
// keep one core busy while the others had no more to do. The first failure
// ends all; it returns when all have ended.
func stageAll(ctx context.Context, layers []*layer, parallel int, store Store) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parallel = min(parallel, len(layers))
	buffers := newPool(parallel)
	next := make(chan *layer)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for l := range next {
				if err := l.stage(ctx, buffers, store); err != nil {
					cancel(l.error(err)) // the first to call it is the cause
				}
			}
		})
	}
	for _, l := range slices.SortedStableFunc(slices.Values(layers), bySize) {
		select {
		case next <- l:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

func bySize(a, b *layer) int { return cmp.Compare(b.blobSize, a.blobSize) }

// commitAll makes the staged layers visible, lowest first. Only now, when all
// of them are known to be right: a failed pull leaves nothing.
func commitAll(ctx context.Context, layers []*layer) error {
	for _, l := range layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.staged.Commit(l.LayerRecord); err != nil {
			return l.error(err)
		}
		l.progress.state(Done)
	}
	return nil
}

// discardAll takes back what was staged or committed, from the top down.
func discardAll(layers []*layer) error {
	var errs []error
	for i := len(layers) - 1; i >= 0; i-- {
		if staged := layers[i].staged; staged != nil {
			errs = append(errs, staged.Discard())
		}
	}
	return errors.Join(errs...)
}
