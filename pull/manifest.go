package pull

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/grammar"
)

// shape is what tells manifests, indexes and schema 1 apart by their bodies.
type shape struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	Manifests     *anything       `json:"manifests"` // nil where missing or null
	Layers        *anything       `json:"layers"`
	FSLayers      *anything       `json:"fsLayers"`
	Config        *anything       `json:"config"`
}

// anything is a JSON value that only has to be there.
type anything struct{}

// UnmarshalJSON skips the value.
func (*anything) UnmarshalJSON([]byte) error { return nil }

// isIndex reads what body is from body alone. The content type that came with
// it must agree: a document that is both a manifest and an index could be read
// in two ways by two tools (CVE-2021-41190).
func isIndex(body []byte, contentType types.MediaType) (bool, error) {
	var s shape
	if err := decode("manifest", body, &s); err != nil {
		return false, err
	}
	switch {
	case s.SchemaVersion == 1, s.FSLayers != nil:
		return false, faultf(Unsupported, "is a schema 1 image, a format that Docker gave up in 2020: push it again with a newer tool")
	case s.SchemaVersion != 2:
		return false, faultf(Unsupported, "manifest of schema version %d", s.SchemaVersion)
	case s.Manifests != nil && (s.Layers != nil || s.Config != nil):
		return false, faultf(Unsupported, "the manifest is an image and an index at once (CVE-2021-41190)")
	}
	index := s.Manifests != nil
	for _, claimed := range []types.MediaType{s.MediaType, contentType} {
		if claimed.IsIndex() && !index || claimed.IsImage() && index {
			return false, faultf(Unsupported, "the manifest says it is %s, and is not", claimed)
		}
	}
	return index, nil
}

func parseIndex(body []byte) (*v1.IndexManifest, error) {
	index := &v1.IndexManifest{}
	if err := decode("index", body, index); err != nil {
		return nil, err
	}
	return index, nil
}

// parseManifest reads an image manifest and refuses what could not be pulled.
func parseManifest(body []byte) (*v1.Manifest, error) {
	m := &v1.Manifest{}
	if err := decode("manifest", body, m); err != nil {
		return nil, err
	}
	if !m.Config.MediaType.IsConfig() {
		return nil, faultf(Unsupported, "is no image but an artifact of type %q", m.Config.MediaType)
	}
	if err := checkDescriptor("config", m.Config); err != nil {
		return nil, err
	}
	if len(m.Layers) > MaxLayers {
		return nil, limitf("layers", "%d layers, more than %d", len(m.Layers), MaxLayers)
	}
	for _, l := range m.Layers {
		if err := checkDescriptor("layer", l); err != nil {
			return nil, err
		}
		if _, err := layerFormat(l.MediaType); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func checkDescriptor(what string, d v1.Descriptor) error {
	if !grammar.IsDigest(d.Digest.String()) {
		return fmt.Errorf("%s: digest %q is not sha256", what, d.Digest)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s %s: size %d", what, short(d.Digest.String()), d.Size)
	}
	return nil
}

// config is the part of an image's configuration that a pull needs.
type config struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	Created      string `json:"created"`
	RootFS       struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// parseConfig reads an image's configuration and checks that its DiffIDs match
// the manifest's layers one to one.
func parseConfig(body []byte, layers int) (*config, error) {
	c := &config{}
	if err := decode("config", body, c); err != nil {
		return nil, err
	}
	if len(c.RootFS.DiffIDs) != layers {
		return nil, faultf(DigestMismatch, "the config lists %d DiffIDs for %d layers", len(c.RootFS.DiffIDs), layers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if !grammar.IsDigest(d) {
			return nil, fmt.Errorf("config: DiffID %q is not sha256", d)
		}
	}
	return c, nil
}

// created is zero where the config says nothing that can be read.
func (c *config) created() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, c.Created)
	return t
}

// suits checks an image that came without an index, whose config alone says
// what it is for. Variants are left out: many configs have none.
func (c *config) suits(want v1.Platform) error {
	have := usual(v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant})
	if have.OS != "" && have.OS != want.OS || have.Architecture != "" && have.Architecture != want.Architecture {
		return faultf(NoPlatform, "no image for %s; there is %s", want, have)
	}
	return nil
}

// chainIDs names each layer together with those below it (OCI image-spec
// config.md, Layer ChainID).
func chainIDs(diffIDs []string) []string {
	chain := make([]string, len(diffIDs))
	for i, diffID := range diffIDs {
		if i == 0 {
			chain[i] = diffID
			continue
		}
		chain[i] = digestOf([]byte(chain[i-1] + " " + diffID))
	}
	return chain
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// short is a digest as people read it, twelve digits.
func short(digest string) string {
	if len(digest) < 19 {
		return digest
	}
	return digest[7:19]
}
