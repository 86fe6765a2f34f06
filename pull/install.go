package pull

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Opener opens an uncompressed tar. It is called twice and gives the same
// bytes each time.
type Opener func() (io.ReadCloser, error)

// Install puts an image that was made here, not pulled, into store: the same
// checks, the same staging. name is taken as it is (docker.io/library/x:latest).
// cfg is an OCI image configuration; its rootfs is filled in from layers,
// lowest first. The image's digest is that of an OCI manifest made for it.
func Install(ctx context.Context, name string, cfg []byte, layers []Opener, o Options, store Store) (Result, error) {
	p, err := built(cfg, layers)
	if err != nil {
		return Result{}, fmt.Errorf("install %s: %w", name, err)
	}
	result := Result{ID: p.ID, Digest: p.Digest, Name: name}
	if id, digest, ok, err := store.LookUp(name); err != nil {
		return Result{}, fmt.Errorf("install %s: %w", name, err)
	} else if ok && id == p.ID && digest == p.Digest {
		return result, nil
	}
	result.Pulled = true
	p.Names = []string{name}
	if err := p.install(ctx, o, store); err != nil {
		return Result{}, fmt.Errorf("install %s: %w", name, err)
	}
	return result, nil
}

// built makes config, manifest and plan of layers that lie open.
func built(cfg []byte, layers []Opener) (*plan, error) {
	blobs, diffIDs, err := describe(layers)
	if err != nil {
		return nil, err
	}
	if cfg, err = withRootFS(cfg, diffIDs); err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        descriptor(types.OCIConfigJSON, digestOf(cfg), int64(len(cfg))),
		Layers:        blobs,
	})
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(cfg, len(layers))
	if err != nil {
		return nil, err
	}
	p := &plan{ImageRecord: ImageRecord{
		ID:       strings.TrimPrefix(digestOf(cfg), "sha256:"),
		Digest:   digestOf(manifest),
		Manifest: manifest, Config: cfg, Created: c.created(),
	}}
	if err := p.addLayers(blobs, diffIDs, nil); err != nil {
		return nil, err
	}
	for i, open := range layers {
		p.layers[i].local = true
		p.layers[i].open = func(context.Context, int64) (io.ReadCloser, error) { return open() }
	}
	return p, nil
}

// describe reads each layer once for its digest and size.
func describe(layers []Opener) (blobs []v1.Descriptor, diffIDs []string, err error) {
	blobs = []v1.Descriptor{} // an empty list in the manifest, not null
	for i, open := range layers {
		tar, err := open()
		if err != nil {
			return nil, nil, fmt.Errorf("layer %d: %w", i, err)
		}
		h := sha256.New()
		size, err := io.Copy(h, tar)
		tar.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("layer %d: %w", i, err)
		}
		blobs = append(blobs, descriptor(types.OCIUncompressedLayer, sum(h), size))
		diffIDs = append(diffIDs, sum(h))
	}
	return blobs, diffIDs, nil
}

func descriptor(t types.MediaType, digest string, size int64) v1.Descriptor {
	return v1.Descriptor{
		MediaType: t, Size: size,
		Digest: v1.Hash{Algorithm: "sha256", Hex: strings.TrimPrefix(digest, "sha256:")},
	}
}

// withRootFS sets rootfs and leaves all else as it is.
func withRootFS(cfg []byte, diffIDs []string) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(cfg, &fields); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	rootfs, err := json.Marshal(map[string]any{"type": "layers", "diff_ids": append([]string{}, diffIDs...)})
	if err != nil {
		return nil, err
	}
	fields["rootfs"] = rootfs
	return json.Marshal(fields)
}
