package serve

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
)

// MaxManifest is the size of manifest that the specification asks registries to
// take ("Pushing Manifests"), and that no client reads more of.
const MaxManifest = 4 << 20

// Media types of manifests: those of the image specification and Docker's.
const (
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Manifest is a manifest or an index, as it was pushed.
type Manifest struct {
	Digest    Digest
	MediaType string
	Body      []byte

	// What it says: the blobs and manifests that have to be there, and the
	// manifest that it is about, which need not be.
	Blobs, Manifests []Digest
	Subject          Digest

	sizes        map[Digest]int64
	artifactType string
	annotations  map[string]string
}

// document is what there is to read in a manifest or an index.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *reference        `json:"config"`
	Layers        []reference       `json:"layers"`
	Manifests     []reference       `json:"manifests"`
	Subject       *reference        `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// reference is a descriptor.
type reference struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls"`
}

// elsewhere reports whether a layer is one that registries need not have:
// image-spec layer.md, "Non-Distributable Layers", and Docker's foreign ones.
func (r reference) elsewhere() bool {
	return len(r.URLs) > 0 || strings.Contains(r.MediaType, ".nondistributable.") || strings.Contains(r.MediaType, ".foreign.")
}

// ParseManifest reads a manifest that came as contentType, which may be empty.
func ParseManifest(body []byte, contentType string) (Manifest, error) {
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return Manifest{}, fmt.Errorf("not a manifest: %w", err)
	}
	m := Manifest{Digest: canonical.Of(body), Body: body, sizes: map[Digest]int64{}, artifactType: doc.ArtifactType, annotations: doc.Annotations}
	var err error
	if m.MediaType, err = doc.mediaType(contentType); err != nil {
		return m, err
	}
	if doc.SchemaVersion != 2 {
		return m, fmt.Errorf("schemaVersion is %d and not 2", doc.SchemaVersion)
	}
	// One document that is both is read in two ways (CVE-2021-41190).
	isIndex := m.MediaType == ociIndex || m.MediaType == dockerList
	if isIndex && (doc.Config != nil || doc.Layers != nil) || !isIndex && doc.Manifests != nil {
		return m, fmt.Errorf("has the fields of both a manifest and an index")
	}
	if !isIndex && doc.Config == nil {
		return m, fmt.Errorf("has no config")
	}
	return m, m.read(doc)
}

// mediaType is the one that the document and its header agree on.
func (doc document) mediaType(contentType string) (string, error) {
	given, _, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return "", fmt.Errorf("content type %q: %w", contentType, err)
	}
	// curl and the like send these when told nothing.
	if given == "application/octet-stream" || given == "application/json" || given == "application/x-www-form-urlencoded" {
		given = ""
	}
	chosen := given
	switch {
	case given != "" && doc.MediaType != "" && given != doc.MediaType:
		return "", fmt.Errorf("sent as %s, but its mediaType is %s", given, doc.MediaType)
	case chosen == "" && doc.MediaType != "":
		chosen = doc.MediaType
	case chosen == "" && doc.Manifests != nil:
		chosen = ociIndex
	case chosen == "":
		chosen = ociManifest
	}
	if !slices.Contains([]string{ociManifest, ociIndex, dockerManifest, dockerList}, chosen) {
		return "", fmt.Errorf("media type %q is none of an OCI or Docker manifest or index", chosen)
	}
	return chosen, nil
}

// read collects what the document names, each once.
func (m *Manifest) read(doc document) error {
	blobs, manifests := map[Digest]bool{}, map[Digest]bool{}
	add := func(to map[Digest]bool, what string, r reference) error {
		d, ok := ParseDigest(r.Digest)
		if !ok {
			return fmt.Errorf("%s: %q is no sha256 or sha512 digest", what, r.Digest)
		}
		if !r.elsewhere() {
			to[d], m.sizes[d] = true, r.Size
		}
		return nil
	}
	if doc.Config != nil {
		if m.artifactType == "" {
			m.artifactType = doc.Config.MediaType // "Listing Referrers"
		}
		if err := add(blobs, "config", *doc.Config); err != nil {
			return err
		}
	}
	for _, r := range doc.Layers {
		if err := add(blobs, "layer", r); err != nil {
			return err
		}
	}
	for _, r := range doc.Manifests {
		if err := add(manifests, "manifest", r); err != nil {
			return err
		}
	}
	if doc.Subject != nil {
		d, ok := ParseDigest(doc.Subject.Digest)
		if !ok {
			return fmt.Errorf("subject: %q is no sha256 or sha512 digest", doc.Subject.Digest)
		}
		m.Subject = d
	}
	m.Blobs, m.Manifests = slices.Sorted(maps.Keys(blobs)), slices.Sorted(maps.Keys(manifests))
	return nil
}

// Size is what the manifest says of the size of something that it needs.
func (m Manifest) Size(d Digest) int64 { return m.sizes[d] }
