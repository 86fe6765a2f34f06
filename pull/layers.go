package pull

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// bringing is what the layers of one image share on their way into the store.
type bringing struct {
	Options
	store   Store
	buffers pool
	windows windows
	budget  *budget
	queue   chan *layer // reserved, to be staged
	cancel  func(error) // ends all; the first error is the cause
	commits sync.WaitGroup
}

// bring has the layers come into the store: each is reserved, fetched and
// unpacked, a few at once, and committed as soon as it is whole and the layer
// below is there. What another process has reserved is waited for. The first
// failure ends all; it returns when all have ended.
//
// Two that bring the same layers do not wait for each other for ever. Staging,
// which takes one of few places, waits for no layer: at most for a blob that
// somebody else is reading from its source, who waits for nothing. So every layer
// that is reserved is staged at some time. A commit waits for the layer below
// alone. The lowest layer that is not there is therefore committed, by whoever
// has it reserved or by the first of those who wait for it; then the next one is
// the lowest. No order of reserving is needed. Locks go with their process, so
// that one that dies is taken over from.
func bring(ctx context.Context, layers []*layer, o Options, store Store) error {
	if len(layers) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parallel := min(o.parallel(), len(layers))
	b := &bringing{
		Options: o, store: store, buffers: newPool(parallel), windows: newWindows(o.Limits.ZstdWindow), budget: newBudget(o.Limits.ImageSize),
		queue: make(chan *layer, len(layers)), cancel: cancel,
	}
	var stagers, reserving sync.WaitGroup
	// The largest goes first, or it would keep one core busy while the others had
	// no more to do.
	for _, l := range slices.SortedStableFunc(slices.Values(layers), bySize) {
		b.reserve(ctx, l, &reserving)
	}
	for range parallel {
		stagers.Go(func() {
			for l := range b.queue {
				b.stage(ctx, l)
			}
		})
	}
	reserving.Wait()
	close(b.queue)
	stagers.Wait()
	b.commits.Wait()
	return errors.Join(context.Cause(ctx), b.release(layers))
}

func bySize(a, b *layer) int { return cmp.Compare(b.blobSize, a.blobSize) }

// parallel is how many layers are staged at once.
func (o Options) parallel() int {
	if o.Parallel > 0 {
		return o.Parallel
	}
	return min(max(runtime.GOMAXPROCS(0)+1, leastParallel), mostParallel)
}

// reserve queues the layer when it is this process's to bring, now or later.
func (b *bringing) reserve(ctx context.Context, l *layer, later *sync.WaitGroup) {
	if b.tryReserve(l) {
		return
	}
	later.Go(func() {
		for !b.tryReserve(l) {
			if b.Blobs != nil {
				l.progress.elsewhere(b.Blobs.Coming(l.BlobDigest))
			}
			select {
			case <-time.After(waitStep):
			case <-ctx.Done():
				return
			}
		}
	})
}

// waitStep is how often one looks who waits for another's layer.
const waitStep = 50 * time.Millisecond

// tryReserve says that there is nothing to wait for any more.
func (b *bringing) tryReserve(l *layer) bool {
	if l.there {
		b.queue <- l // for its blob alone
		return true
	}
	unlock, ok, err := b.store.LockLayer(l.ChainID)
	if err == nil && ok {
		// Only now: until then another may have been about to commit it.
		if ok, err = b.store.HasLayer(l.ChainID); err == nil && !ok {
			l.unlock = unlock
			b.queue <- l
			return true
		}
		unlock()
	}
	if err == nil && !ok {
		return false
	}
	if err != nil {
		b.cancel(l.error(err))
		return true
	}
	l.there = true
	close(l.done)
	from, err := b.store.LayerBlob(l.ChainID)
	if err != nil {
		b.cancel(l.error(err))
		return true
	}
	l.vouched = from == l.BlobDigest
	if b.keepsBlobs() && !(l.vouched && b.Blobs.Has(l.BlobDigest)) {
		b.queue <- l
		return true
	}
	l.progress.state(Exists)
	return true
}

// stage brings a layer that is reserved, and has it committed.
func (b *bringing) stage(ctx context.Context, l *layer) {
	if ctx.Err() != nil {
		return
	}
	if err := b.tryTwice(ctx, l); err != nil {
		b.cancel(l.error(err))
		return
	}
	if l.there {
		l.progress.state(Exists)
		return
	}
	b.commits.Go(func() {
		if err := l.commit(ctx); err != nil {
			b.cancel(l.error(err))
		}
	})
}

// commit makes the staged layer visible once the one below is.
func (l *layer) commit(ctx context.Context) error {
	if l.below != nil {
		select {
		case <-l.below.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := l.staged.Commit(l.LayerRecord); err != nil {
		return err
	}
	l.unlock()
	l.unlock = nil
	l.progress.state(Done)
	close(l.done)
	return nil
}

// release discards what was staged and not committed, and gives up the locks.
func (b *bringing) release(layers []*layer) error {
	var errs []error
	for _, l := range layers {
		if l.staged != nil {
			errs = append(errs, l.staged.Discard())
		}
		if l.unlock != nil {
			l.unlock()
		}
	}
	return errors.Join(errs...)
}
