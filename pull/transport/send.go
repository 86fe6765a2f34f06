package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
)

// Kept is an image as the store has it.
type Kept struct {
	Manifest, Config []byte

	// Open opens a layer's blob.
	Open func(digest string, offset int64) (io.ReadCloser, error)
}

// Send puts an image into target, the lowest layer first, under each of the
// identifiers; without one it has no name there.
func Send(ctx context.Context, k Kept, to pull.Target, identifiers ...string) error {
	m := v1.Manifest{}
	if err := json.Unmarshal(k.Manifest, &m); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	err := put(ctx, to, m.Config, func(offset int64) (io.ReadCloser, error) { return from(k.Config, offset), nil })
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	for _, l := range m.Layers {
		digest := l.Digest.String()
		if err := put(ctx, to, l, func(offset int64) (io.ReadCloser, error) { return k.Open(digest, offset) }); err != nil {
			return fmt.Errorf("layer %s: %w", digest[7:19], err)
		}
	}
	if len(identifiers) == 0 {
		identifiers = []string{digestOf(k.Manifest).String()}
	}
	for _, identifier := range identifiers {
		if err := to.PutManifest(ctx, identifier, k.Manifest, mediaType(m)); err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
	}
	return nil
}

func put(ctx context.Context, to pull.Target, d v1.Descriptor, open pull.BlobOpener) error {
	if there, err := to.HasBlob(ctx, d); there || err != nil {
		return err
	}
	return to.PutBlob(ctx, d, open)
}

// mediaType is what a manifest says it is, or what follows from its config
// (OCI's may leave it out).
func mediaType(m v1.Manifest) types.MediaType {
	if m.MediaType == "" && m.Config.MediaType == types.DockerConfigJSON {
		return types.DockerManifestSchema2
	}
	if m.MediaType == "" {
		return types.OCIManifestSchema1
	}
	return m.MediaType
}

// Layers are the digests of a manifest's layers, each once.
func Layers(manifest []byte) ([]string, error) {
	m := v1.Manifest{}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var digests []string
	for _, l := range m.Layers {
		if d := l.Digest.String(); !slices.Contains(digests, d) {
			digests = append(digests, d)
		}
	}
	return digests, nil
}
