package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
)

func digestOf(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func summed(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// hashOf reads all of a file.
func hashOf(ctx context.Context, c *content) (v1.Hash, error) {
	if _, err := c.Seek(0, io.SeekStart); err != nil {
		return v1.Hash{}, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, pull.Stoppable(ctx, c)); err != nil {
		return v1.Hash{}, err
	}
	return summed(h), nil
}

// sniffLayer is the media type of what is in a layer's file.
func sniffLayer(c *content) (types.MediaType, error) {
	head := make([]byte, 4)
	n, err := c.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	return pull.LayerType(head[:n]), nil
}

// from is a text from an offset on.
func from(text []byte, offset int64) io.ReadCloser {
	return io.NopCloser(bytes.NewReader(text[min(max(offset, 0), int64(len(text))):]))
}
