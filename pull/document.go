package pull

import (
	"context"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/grammar"
)

// Document is a manifest or index as a registry has it.
type Document struct {
	Ref       string // the full name by which it can be had
	Described Described
	Index     bool
	Body      []byte
}

// Described is its descriptor, as Docker shows it.
type Described struct {
	MediaType string       `json:"mediaType"`
	Digest    string       `json:"digest"`
	Size      int64        `json:"size"`
	Platform  *v1.Platform `json:"platform,omitempty"`
}

// Docker reports whether it is a manifest of Docker's own format.
func (d Document) Docker() bool {
	return types.MediaType(d.Described.MediaType) == types.DockerManifestSchema2
}

// Documents reads what a reference names, and where that is an index, and all is
// given, the manifests that it lists too. It closes src.
func Documents(ctx context.Context, ref Reference, src Source, all bool) ([]Document, error) {
	defer src.Close()
	first, err := readDocument(ctx, src, ref, ref.identifier(), nil)
	if err != nil {
		return nil, err
	}
	documents := []Document{first}
	switch {
	case !all:
		return documents, nil
	case !first.Index:
		documents[0].Described.Platform, err = platformOf(ctx, src, first.Body)
		return documents, err
	}
	index, err := parseIndex(first.Body)
	if err != nil {
		return nil, err
	}
	if len(index.Manifests) > maxListed {
		return nil, faultf(TooLarge, "an index of %d manifests, more than %d", len(index.Manifests), maxListed)
	}
	for _, d := range index.Manifests {
		if err := checkDescriptor("manifest", d); err != nil {
			return nil, err
		}
		next, err := readDocument(ctx, src, ref, d.Digest.String(), d.Platform)
		if err != nil {
			return nil, err
		}
		documents = append(documents, next)
	}
	return documents, nil
}

// maxListed bounds what an index can have us fetch.
const maxListed = 200

func readDocument(ctx context.Context, src Source, ref Reference, identifier string, platform *v1.Platform) (Document, error) {
	body, mediaType, err := src.Manifest(ctx, identifier)
	if err != nil {
		return Document{}, err
	}
	if grammar.IsDigest(identifier) && digestOf(body) != identifier {
		return Document{}, faultf(DigestMismatch, "the manifest that came has digest %s", digestOf(body))
	}
	index, err := isIndex(body, mediaType)
	if err != nil {
		return Document{}, err
	}
	d := Document{Ref: ref.Name(), Index: index, Body: body}
	if platform != nil {
		d.Ref = ref.Registry() + "/" + ref.Repository() + "@" + identifier
	}
	d.Described = Described{MediaType: string(mediaType), Digest: digestOf(body), Size: int64(len(body)), Platform: platform}
	return d, nil
}

// platformOf is what a manifest's config says it is for.
func platformOf(ctx context.Context, src Source, manifest []byte) (*v1.Platform, error) {
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, nil // an artifact is for none
	}
	text, err := document(ctx, src, m.Config.Digest.String(), m.Config.Size)
	if err != nil {
		return nil, err
	}
	if got := digestOf(text); got != m.Config.Digest.String() {
		return nil, faultf(DigestMismatch, "the config that came has digest %s", got)
	}
	return configPlatform(text), nil
}

// configPlatform is nil where a config does not say.
func configPlatform(text []byte) *v1.Platform {
	c := &config{}
	if err := json.Unmarshal(text, c); err != nil || c.OS == "" {
		return nil
	}
	return &v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}

// NewDocument is the manifest of an image that is in the store.
func NewDocument(ref string, manifest, config []byte) (Document, error) {
	m, err := parseManifest(manifest)
	if err != nil {
		return Document{}, err
	}
	return Document{Ref: ref, Body: manifest, Described: Described{
		MediaType: string(manifestType(m)), Digest: digestOf(manifest), Size: int64(len(manifest)), Platform: configPlatform(config),
	}}, nil
}
