package pull

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"rootlet/pull/blobs"
)

// keepsBlobs says that the blobs of an image that is there are to be here too.
func (o Options) keepsBlobs() bool { return o.Blobs != nil && !o.DropBlobs }

// BlobsOf are the digests of the layers that a manifest names; none where it
// cannot be read.
func BlobsOf(manifest []byte) []string {
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil
	}
	list := make([]string, len(m.Layers))
	for i, l := range m.Layers {
		list[i] = l.Digest.String()
	}
	return list
}

// openBlob opens a layer's blob wherever it is; reading it ends with io.EOF only
// if it was right. fresh says that all of it comes from the source.
func (b *bringing) openBlob(ctx context.Context, l *layer) (blob io.ReadCloser, fresh bool, err error) {
	if b.Blobs == nil || b.packs(l) {
		from, err := l.open(ctx, 0)
		if err != nil {
			return nil, true, err
		}
		return &checked{ReadCloser: from, hash: sha256.New(), digest: l.BlobDigest, twice: l.format == formatTar && !l.there}, true, nil
	}
	return b.Blobs.Fetch(ctx, blobs.Fetch{Digest: l.BlobDigest, Size: l.blobSize, Elsewhere: l.progress.elsewhere, From: l.open})
}

// checked compares a blob that is not kept with its digest.
type checked struct {
	io.ReadCloser
	hash   hash.Hash
	digest string
	twice  bool // its tar is compared, and is the same bytes
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.twice {
		return n, err
	}
	c.hash.Write(p[:n])
	if err == io.EOF {
		if got := sum(c.hash); got != c.digest {
			err = fmt.Errorf("%w: digest %s", blobs.ErrMismatch, got)
		}
	}
	return n, err
}

// packs says that a layer's blob is packed while it is unpacked: it comes
// uncompressed from this host, where nobody need fetch it twice.
func (b *bringing) packs(l *layer) bool {
	return l.local && l.format == formatTar && b.keepsBlobs() && !b.Blobs.Has(l.BlobDigest)
}

// packer takes the tar of a layer on its way to the store.
type packer interface {
	io.WriteCloser
	Keep(digest string) error
}

func (b *bringing) packer(l *layer) (packer, error) {
	if !b.packs(l) {
		return noPacker{}, nil
	}
	w, err := b.Blobs.CreatePacked()
	if err != nil {
		return nil, err
	}
	return w.Unchecked(), nil // the tar's digest, or the blob's, is compared on its way
}

// noPacker is for layers whose blobs are kept otherwise.
type noPacker struct{}

func (noPacker) Write(p []byte) (int, error) { return len(p), nil }
func (noPacker) Close() error                { return nil }
func (noPacker) Keep(string) error           { return nil }
