package pull

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// A layer that inflates more than any real one is a bomb (threats 28). Zeros
// in gzip reach 1030:1, and images do hold files of zeros, so the first
// megabytes are free.
const (
	bombRatio = 1000
	bombFree  = 100 << 20
)

var errBomb = faultf(TooLarge, "inflates to more than %d times its size", bombRatio)

// layer is one layer of the image that is being pulled.
type layer struct {
	LayerRecord
	format   format
	blobSize int64
	open     func(ctx context.Context) (io.ReadCloser, error)
	progress *progress

	staged StagedLayer
}

// stage brings the layer from its source into the store's staging area:
//
//	source -> sha256, size | decompress -> bomb check | sha256 -> StageLayer
//
// with a goroutine for each part between bars. It returns when all of them
// have ended; without an error the layer was what the manifest and the config
// say, to its last byte.
func (l *layer) stage(ctx context.Context, buffers pool, store Store) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	blob, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer blob.Close()
	l.progress.state(Fetching)

	var ends sync.WaitGroup
	defer ends.Wait()
	defer cancel(nil) // before Wait, or the goroutines would not end
	fetched, unpacked := newPipe(ctx, buffers), newPipe(ctx, buffers)
	source := &counted{from: blob, hash: sha256.New(), progress: l.progress}
	ends.Go(func() { fetched.fill(source, func(err error) error { return l.checkBlob(source, err) }) })
	ends.Go(func() { l.decompress(fetched, unpacked, source) })

	diff := &diffReader{reader: reader{from: unpacked}, hash: sha256.New(), want: l.DiffID}
	diff.reader.see = diff.count
	return l.store(ctx, diff, store)
}

// store hands the tar to the store, and reads what the store left of it:
// digests are compared at the end only, and trailing bytes count (threats 29).
func (l *layer) store(ctx context.Context, diff *diffReader, store Store) error {
	staged, err := store.StageLayer(ctx, diff)
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
func (l *layer) decompress(from, to *pipe, source *counted) {
	blob := bufio.NewReaderSize(&reader{from: from, see: func([]byte) {}}, 64<<10)
	tar, err := decompressor(blob, l.format)
	if err != nil {
		tar = io.NopCloser(failing{err})
	}
	defer tar.Close()
	to.fill(&bombGuard{from: noPanic{tar}, source: source}, func(err error) error {
		if errors.Is(err, errBomb) {
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

// checkBlob makes of the blob's end what it means for the layer.
func (l *layer) checkBlob(source *counted, err error) error {
	if err != io.EOF {
		return err
	}
	if got := sum(source.hash); got != l.BlobDigest {
		return faultf(DigestMismatch, "content with digest %s came", got)
	}
	l.progress.state(Unpacking)
	return io.EOF
}

// counted hashes and counts a blob as it comes in.
type counted struct {
	from     io.Reader
	hash     hash.Hash
	bytes    atomic.Int64
	progress *progress
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.hash.Write(p[:n])
	c.bytes.Add(int64(n))
	c.progress.fetched(n)
	return n, err
}

// bombGuard stops a tar that grows out of proportion to its blob.
type bombGuard struct {
	from   io.Reader
	source *counted
	bytes  int64
}

// Read implements io.Reader.
func (g *bombGuard) Read(p []byte) (int, error) {
	n, err := g.from.Read(p)
	g.bytes += int64(n)
	if g.bytes > bombFree && g.bytes/bombRatio > g.source.bytes.Load() {
		return 0, errBomb
	}
	return n, err
}

// diffReader is the tar as the store reads it. It ends with io.EOF only if its
// digest is right.
type diffReader struct {
	reader
	hash   hash.Hash
	size   int64
	want   string
	failed error // what Read returned, other than io.EOF
}

func (d *diffReader) count(p []byte) {
	d.hash.Write(p)
	d.size += int64(len(p))
}

// Read implements io.Reader.
func (d *diffReader) Read(p []byte) (int, error) {
	n, err := d.reader.Read(p)
	if err == io.EOF {
		if got := sum(d.hash); got != d.want {
			err = faultf(DigestMismatch, "unpacks to DiffID %s, not %s", got, d.want)
		}
	}
	if err != nil && err != io.EOF {
		d.failed = err
	}
	return n, err
}

type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// layerError says which layer it was.
func (l *layer) error(err error) error {
	return fmt.Errorf("layer %s: %w", short(l.BlobDigest), err)
}
