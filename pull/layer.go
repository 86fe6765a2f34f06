package pull

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"rootlet/pull/blobs"
)

// layer is one layer of the image that is being pulled.
type layer struct {
	LayerRecord
	format   format
	blobSize int64
	open     func(ctx context.Context, offset int64) (io.ReadCloser, error)
	local    bool // open reads a file of this host
	progress *progress
	below    *layer

	hadBlob bool          // the blob was here before
	there   bool          // the layer is in the store, brought by another
	vouched bool          // it came from this very blob
	done    chan struct{} // closed when it is
	unlock  func()        // nil: not reserved
	staged  StagedLayer
}

// tryTwice brings the layer. Where the blob was not right, of an earlier try or
// damaged on its way (threats F25), all of it is fetched anew, once.
func (b *bringing) tryTwice(ctx context.Context, l *layer) error {
	again, err := b.bringLayer(ctx, l)
	if err == nil || !again || ctx.Err() != nil || isPassing(err) {
		return err
	}
	if b.Blobs != nil {
		if err := b.Blobs.Remove(l.BlobDigest); err != nil {
			return err
		}
	}
	l.progress.last.Fetched = 0
	_, err = b.bringLayer(ctx, l)
	return err
}

// bringLayer brings the layer from its source into the store's staging area:
//
//	source -> blob kept, sha256, size | decompress -> bomb check | sha256 -> StageLayer
//
// with a goroutine for each part between bars. It returns when all of them
// have ended; without an error the layer was what the manifest and the config
// say, to its last byte, and its blob is kept. With an error it says whether
// another try may end otherwise.
func (b *bringing) bringLayer(ctx context.Context, l *layer) (again bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	blob, fresh, err := b.openBlob(ctx, l)
	if err != nil {
		return errors.Is(err, blobs.ErrDamaged), lie(err)
	}
	defer blob.Close()
	l.progress.state(Fetching)
	source := &counted{from: blob, progress: l.progress}
	pack, err := b.packer(l)
	if err != nil {
		return false, err
	}
	defer pack.Close()
	if l.vouched {
		_, err = io.Copy(pack, source)
		err = lie(err)
	} else {
		err = b.unpack(ctx, cancel, l, source, pack)
	}
	if errors.Is(err, tar.ErrHeader) && !fresh {
		// Perhaps only because the blob was damaged where it was kept: its end decides.
		if _, end := io.Copy(io.Discard, source); end != nil {
			err = end
		}
	}
	if err != nil {
		// Where the blob is what its digest says and unpacks to something else, the
		// manifest lies, perhaps with a blob of another image's that is kept.
		return !l.local && errors.As(err, new(otherContent)) || !fresh && (errors.Is(err, blobs.ErrDamaged) || errors.Is(err, blobs.ErrStale)), err
	}
	return false, pack.Keep(l.BlobDigest)
}

// unpack runs the parts; cancel ends them.
func (b *bringing) unpack(ctx context.Context, cancel context.CancelCauseFunc, l *layer, source *counted, pack packer) error {
	var ends sync.WaitGroup
	defer ends.Wait()
	defer cancel(nil) // before Wait, or the goroutines would not end
	fetched, unpacked := newPipe(ctx, b.buffers), newPipe(ctx, b.buffers)
	ends.Go(func() {
		fetched.fill(source, func(err error) error {
			if err == io.EOF {
				l.progress.state(Unpacking)
			}
			return lie(err)
		})
	})
	ends.Go(func() { b.decompress(ctx, l, fetched, unpacked, pack) })
	diff := &diffReader{reader: reader{from: unpacked}, hash: sha256.New(), layer: l, budget: b.budget}
	diff.reader.see = diff.count
	return b.storeLayer(ctx, l, diff)
}

// storeLayer hands the tar to the store, and reads what the store left of it:
// digests are compared at the end only, and trailing bytes count (threats 29).
//
// Of a layer that is there only the blob is looked at: the manifest that comes with
// it takes the place of the image's, and is what push would send.
func (b *bringing) storeLayer(ctx context.Context, l *layer, diff *diffReader) error {
	if l.there {
		_, err := io.Copy(io.Discard, diff)
		return err
	}
	staged, err := b.store.StageLayer(ctx, diff, b.Limits)
	if err == nil {
		_, err = io.Copy(io.Discard, diff)
	}
	if diff.failed != nil {
		err = diff.failed // the cause; the store may have made its own words of it
	}
	if err != nil {
		if staged != nil {
			_ = staged.Discard() // the first error counts
		}
		return err
	}
	l.Size = diff.size
	l.staged = staged
	return nil
}

// decompress turns one pipe's blob into the other's tar.
func (b *bringing) decompress(ctx context.Context, l *layer, from, to *pipe, pack packer) {
	in := &passed{from: &reader{from: from, see: func([]byte) {}}}
	blob := bufio.NewReaderSize(in, 64<<10)
	tar, err := b.windows.decompressor(ctx, blob, l.format)
	if err != nil {
		tar = io.NopCloser(failing{err})
	}
	defer tar.Close()
	guarded := &bombGuard{from: noPanic{tar}, in: in, ratio: b.Limits.Ratio}
	kept := &packing{to: pack}
	to.fill(io.TeeReader(guarded, kept), func(err error) error {
		if kept.err != nil {
			return kept.err // of our disk, and nothing that the blob has done
		}
		if errors.Is(err, context.Canceled) || errors.As(err, new(*LimitError)) {
			return err
		}
		// The blob's end decides first: what does not unpack because it was
		// damaged on the way is a wrong digest, not a wrong image.
		if _, blobErr := io.Copy(io.Discard, blob); blobErr != nil {
			return blobErr
		}
		if known := (*fault)(nil); err == io.EOF || errors.As(err, &known) {
			return err
		}
		return faultf(DigestMismatch, "does not unpack as %s: %v", l.format, err)
	})
}

// packing remembers why what is kept on the way could not be.
type packing struct {
	to  io.Writer
	err error
}

// Write implements io.Writer.
func (k *packing) Write(p []byte) (n int, err error) {
	n, k.err = k.to.Write(p)
	return n, k.err
}

// lie gives a blob that is not the one that was asked for its kind and words.
func lie(err error) error {
	if errors.Is(err, blobs.ErrMismatch) {
		return otherContent{&fault{DigestMismatch, fmt.Sprintf("the registry sent other content: %v", err)}}
	}
	return err
}

// otherContent is a blob that came, and was not the one that its digest says.
type otherContent struct{ *fault }

// Unwrap gives the fault, with its kind.
func (o otherContent) Unwrap() error { return o.fault }

// counted shows how much of a blob has come.
type counted struct {
	from     io.Reader
	progress *progress
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.progress.fetched(n)
	return n, err
}

// bombGuard stops a tar that grows out of proportion to its blob: to what was
// decoded of it, not to what has come, for the megabytes of the pipes would let
// gigabytes of zeros pass.
type bombGuard struct {
	from  io.Reader
	in    *passed
	ratio int64
	bytes int64
}

// Read implements io.Reader.
func (g *bombGuard) Read(p []byte) (int, error) {
	n, err := g.from.Read(p)
	g.bytes += int64(n)
	if g.bytes > bombFree && g.bytes/g.ratio > g.in.bytes.Load() {
		return 0, limitf("ratio", "inflates to more than %d times its size", g.ratio)
	}
	return n, err
}

// diffReader is the tar as the store reads it. It ends with io.EOF only if its
// digest is right.
type diffReader struct {
	reader
	*layer
	hash   hash.Hash
	size   int64
	budget *budget
	failed error // what Read returned, other than io.EOF
}

func (d *diffReader) count(p []byte) {
	d.hash.Write(p)
	d.size += int64(len(p))
	if err := d.budget.take(len(p)); err != nil && d.failed == nil {
		d.failed = err
	}
}

// Read implements io.Reader.
func (d *diffReader) Read(p []byte) (int, error) {
	n, err := d.reader.Read(p)
	if d.failed != nil {
		return 0, d.failed
	}
	if err == io.EOF {
		err = d.compare(sum(d.hash))
	}
	if err != nil && err != io.EOF {
		d.failed = err
	}
	return n, err
}

// compare is the end of a tar that has this digest. What came uncompressed is its
// own blob.
func (d *diffReader) compare(got string) error {
	switch {
	case d.format == formatTar && got != d.BlobDigest:
		return faultf(DigestMismatch, "the registry sent other content: it has digest %s", got)
	case got != d.DiffID:
		return faultf(DigestMismatch, "unpacks to DiffID %s, not %s", got, d.DiffID)
	}
	return io.EOF
}

type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// error says which layer it was.
func (l *layer) error(err error) error {
	return fmt.Errorf("layer %s: %w", short(l.BlobDigest), err)
}
