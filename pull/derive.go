package pull

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/instruction"
)

// Derivation says how an image is made of another: with a layer more, and with
// the configuration of a container.
type Derivation struct {
	Base  ImageRecord // its config and manifest
	Layer *AddedLayer // nil: none

	// Process is what the image's containers run, instead of Base's.
	Process Process
	// Changes are lines of a Dockerfile, on top of that.
	Changes []string

	Created                    time.Time
	Author, Comment, CreatedBy string
}

// AddedLayer is a layer as it lies in the store, uncompressed.
type AddedLayer struct {
	DiffID string // "sha256:HEX"
	Size   int64  // of the archive, in bytes
}

// Process is the part of a configuration that a container may have otherwise
// than its image.
type Process struct {
	Entrypoint, Cmd, Env []string
	WorkingDir, User     string
	Labels               map[string]string
	StopSignal           string
	ExposedPorts         []string // 80/tcp
	Volumes              []string // mount points
	Health               *Health
}

// Health is a health check, as OCI's and Docker's configurations have it.
type Health struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// TopLayer is the ChainID of the uppermost of these layers, empty for none.
func TopLayer(diffIDs []string) string {
	chain := chainIDs(diffIDs)
	if len(chain) == 0 {
		return ""
	}
	return chain[len(chain)-1]
}

// DiffIDs are those of a configuration's layers, the lowest first.
func DiffIDs(config []byte) ([]string, error) {
	var c struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c.RootFS.DiffIDs, nil
}

// Derive makes the record of the new image. It names nothing and stores nothing.
func Derive(d Derivation) (ImageRecord, error) {
	var config v1.ConfigFile
	if err := json.Unmarshal(d.Base.Config, &config); err != nil {
		return ImageRecord{}, fmt.Errorf("config of the image: %w", err)
	}
	d.Process.apply(&config.Config)
	if err := instruction.Apply(&config.Config, d.Changes); err != nil {
		return ImageRecord{}, err
	}
	created := v1.Time{Time: d.Created.UTC()}
	config.Created, config.Author = created, d.Author
	config.Container = "" // the one that the base was made of
	config.History = append(config.History, v1.History{
		Created: created, Author: d.Author, Comment: d.Comment, CreatedBy: d.CreatedBy, EmptyLayer: d.Layer == nil,
	})
	config.RootFS.Type = "layers"
	if d.Layer != nil {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, descriptor("", d.Layer.DiffID, 0).Digest)
	}
	return d.record(&config)
}

func (d Derivation) record(config *v1.ConfigFile) (ImageRecord, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return ImageRecord{}, err
	}
	manifest, err := d.manifest(text)
	if err != nil {
		return ImageRecord{}, err
	}
	diffIDs, err := DiffIDs(text)
	if err != nil {
		return ImageRecord{}, err
	}
	return ImageRecord{
		ID: strings.TrimPrefix(digestOf(text), "sha256:"), Digest: digestOf(manifest), TopLayer: TopLayer(diffIDs),
		Manifest: manifest, Config: text, Created: d.Created,
	}, nil
}

// manifest is an OCI one, whichever the base has: the same layers, named by the
// same digests.
func (d Derivation) manifest(config []byte) ([]byte, error) {
	base, err := parseManifest(d.Base.Manifest)
	if err != nil {
		return nil, fmt.Errorf("manifest of the image: %w", err)
	}
	layers := append([]v1.Descriptor{}, base.Layers...)
	for i := range layers {
		if oci, ok := ociLayers[layers[i].MediaType]; ok {
			layers[i].MediaType = oci
		}
	}
	if d.Layer != nil {
		layers = append(layers, descriptor(types.OCIUncompressedLayer, d.Layer.DiffID, d.Layer.Size))
	}
	return json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        descriptor(types.OCIConfigJSON, digestOf(config), int64(len(config))),
		Layers:        layers,
	})
}

// ociLayers are OCI's names for Docker's kinds of layers.
var ociLayers = map[types.MediaType]types.MediaType{
	types.DockerLayer:             types.OCILayer,
	types.DockerUncompressedLayer: types.OCIUncompressedLayer,
}

// apply puts a container's configuration over its image's. What it leaves empty
// stays, but for the program.
func (p Process) apply(c *v1.Config) {
	c.Entrypoint, c.Cmd, c.Env = p.Entrypoint, p.Cmd, p.Env
	for into, value := range map[*string]string{&c.WorkingDir: p.WorkingDir, &c.User: p.User, &c.StopSignal: p.StopSignal} {
		if value != "" {
			*into = value
		}
	}
	if len(p.Labels) > 0 {
		c.Labels = maps.Clone(p.Labels)
	}
	c.ExposedPorts = with(c.ExposedPorts, p.ExposedPorts)
	c.Volumes = with(c.Volumes, p.Volumes)
	if h := p.Health; h != nil {
		c.Healthcheck = &v1.HealthConfig{
			Test: slices.Clone(h.Test), Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	}
}

func with(set map[string]struct{}, more []string) map[string]struct{} {
	if len(more) == 0 {
		return set
	}
	all := maps.Clone(set)
	if all == nil {
		all = map[string]struct{}{}
	}
	for _, m := range more {
		all[m] = struct{}{}
	}
	return all
}

// Scratch is an image with nothing in it, for a platform; empty for this machine.
func Scratch(platform string) (ImageRecord, error) {
	p, err := parsePlatform(platform)
	if err != nil {
		return ImageRecord{}, err
	}
	config, err := json.Marshal(v1.ConfigFile{
		Architecture: p.Architecture, OS: p.OS, Variant: p.Variant, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	})
	if err != nil {
		return ImageRecord{}, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: descriptor(types.OCIConfigJSON, digestOf(config), int64(len(config))), Layers: []v1.Descriptor{},
	})
	return ImageRecord{Config: config, Manifest: manifest}, err
}
