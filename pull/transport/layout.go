package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
	"rootlet/pull/registry"
)

// The files of a layout (OCI image-spec image-layout.md).
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	blobsDir   = "blobs/sha256/"
)

// The annotations of an entry of index.json that name it: the specification's,
// which some tools use for a tag and others for a whole name, and containerd's,
// which Docker writes.
const (
	refAnnotation  = "org.opencontainers.image.ref.name"
	nameAnnotation = "io.containerd.image.name"
)

// maxImages bounds what one archive makes us do.
const maxImages = 1000

// layout is an OCI layout.
type layout struct {
	files
	kind  Kind   // as which it was asked for
	body  []byte // index.json
	index v1.IndexManifest

	older   []dockerImage     // the same images for older readers, where they are listed
	configs map[string]string // digits of a config: digest of the manifest
}

func openLayout(from files, kind Kind) (*layout, error) {
	l := &layout{files: from, kind: kind}
	err := checkLayout(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("is no OCI layout: it has no %s", layoutFile)
	}
	if err != nil {
		return nil, err
	}
	if l.body, err = document(from, indexFile); err != nil {
		return nil, err
	}
	if err := understand(indexFile, l.body, &l.index, anIndex); err != nil {
		return nil, err
	}
	if len(l.index.Manifests) > maxImages {
		return nil, fmt.Errorf("%s: more than %d images", indexFile, maxImages)
	}
	if kind == OCI {
		return l, nil // a directory, of which it was said what counts: its manifest.json may be anybody's
	}
	return l, l.agrees()
}

// checkLayout reads the file by which a layout shows that it is one.
func checkLayout(from files) error {
	text, err := document(from, layoutFile)
	if err != nil {
		return err
	}
	var version struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := understand(layoutFile, text, &version, "that of an OCI layout"); err != nil {
		return err
	}
	if !strings.HasPrefix(version.Version, "1.") {
		return fmt.Errorf("%s: version %q is not known", layoutFile, version.Version)
	}
	return nil
}

// anIndex is what index.json is to be.
const anIndex = "an OCI index"

// agrees refuses an archive that is one thing to who reads index.json and another
// to who reads manifest.json (compare CVE-2021-41190).
func (l *layout) agrees() error {
	text, err := document(l.files, manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		l.older, err = dockerImages(text)
	}
	if _, is := l.files.(directory); is && err != nil {
		return fmt.Errorf("%w; if the layout beside it is meant: %s:PATH", err, OCI)
	}
	if err != nil {
		return err
	}
	all, err := l.readConfigs()
	if err != nil {
		return err
	}
	for _, i := range l.older {
		if l.configs[i.config()] == "" && all {
			return fmt.Errorf("%s has an image that %s has not: %s", manifestFile, indexFile, i.Config)
		}
	}
	return nil
}

// readConfigs notes the configs of all images; all is false where not every one
// is known, as an index may name what the archive leaves out.
func (l *layout) readConfigs() (all bool, err error) {
	l.configs, all = map[string]string{}, true
	read := 0
	for _, d := range l.index.Manifests {
		body, _, err := l.Manifest(context.Background(), d.Digest.String())
		if read += len(body); read > maxDocuments {
			return false, fmt.Errorf("manifests of more than %d MiB", maxDocuments>>20)
		}
		m := v1.Manifest{}
		if err != nil || json.Unmarshal(body, &m) != nil || m.Config.Digest.Hex == "" {
			all = false
			continue
		}
		if hex := m.Config.Digest.Hex; l.configs[hex] == "" {
			l.configs[hex] = d.Digest.String()
		}
	}
	return all, nil
}

// Images implements Store. An index.json whose entries have no names and are
// for different platforms is one image itself.
func (l *layout) Images() ([]Listed, error) {
	if l.isImage() {
		return []Listed{{}}, nil
	}
	var all []Listed
	for _, d := range l.index.Manifests {
		if attests(d) {
			continue
		}
		names := namesOf(d.Annotations)
		at := slices.IndexFunc(all, func(i Listed) bool { return i.Identifier == d.Digest.String() })
		if at < 0 {
			at = len(all)
			all = append(all, Listed{Identifier: d.Digest.String()})
		}
		for _, name := range names {
			if !slices.Contains(all[at].Names, name) {
				all[at].Names = append(all[at].Names, name)
			}
		}
	}
	return all, nil
}

// isImage reports whether index.json is the index of one image.
func (l *layout) isImage() bool {
	platforms := map[string]bool{}
	for _, d := range l.index.Manifests {
		if d.Platform == nil || d.Annotations[refAnnotation] != "" || d.Annotations[nameAnnotation] != "" {
			return false
		}
		platforms[d.Platform.String()] = true
	}
	return len(l.index.Manifests) > 1 && len(platforms) == len(l.index.Manifests)
}

// attests says that a manifest is BuildKit's word about another one.
func attests(d v1.Descriptor) bool { return d.Platform != nil && d.Platform.OS == "unknown" }

// namesOf are the names in an entry's annotations. A tag alone names nothing.
func namesOf(annotations map[string]string) []string {
	for _, key := range []string{nameAnnotation, refAnnotation} {
		given := annotations[key]
		if !strings.ContainsAny(given, "/:") {
			continue
		}
		if ref, err := pull.ParseReference(given); err == nil && ref.Digest() == "" {
			return []string{ref.Name()}
		}
	}
	return nil
}

// Find implements Store.
func (l *layout) Find(image string) (Listed, error) {
	all, err := l.Images()
	if err != nil {
		return Listed{}, err
	}
	if image == "" {
		return only(all)
	}
	if l.kind == DockerArchive && strings.HasPrefix(image, "@") {
		return l.numbered(image, all)
	}
	return l.named(image)
}

// numbered is the image with that number in manifest.json, in which other readers
// of the format count; in index.json where there is no other list.
func (l *layout) numbered(image string, all []Listed) (Listed, error) {
	if l.older == nil {
		n, err := numberOf(image, len(all))
		if err != nil {
			return Listed{}, err
		}
		return all[n], nil
	}
	n, err := numberOf(image, len(l.older))
	if err != nil {
		return Listed{}, err
	}
	if digest := l.configs[l.older[n].config()]; digest != "" {
		if at := slices.IndexFunc(all, func(i Listed) bool { return i.Identifier == digest }); at >= 0 {
			return all[at], nil
		}
		return Listed{Identifier: digest}, nil
	}
	// An image for several platforms: index.json names an index, manifest.json the
	// config of one of them.
	for _, tag := range l.older[n].RepoTags {
		if one, err := l.named(tag); err == nil {
			return one, nil
		}
	}
	return Listed{}, fmt.Errorf("image %s of %s is not in %s", image, manifestFile, indexFile)
}

func (l *layout) named(image string) (Listed, error) {
	full := fullName(image)
	for _, d := range l.index.Manifests {
		ref, name := d.Annotations[refAnnotation], d.Annotations[nameAnnotation]
		if ref == image || name == image || full != "" && (name == full || fullName(ref) == full && strings.ContainsAny(ref, "/:")) || d.Digest.String() == image {
			return Listed{Identifier: d.Digest.String(), Names: namesOf(d.Annotations)}, nil
		}
	}
	return Listed{}, fmt.Errorf("no image %q in it; there is %s", image, l.offered())
}

func (l *layout) offered() string {
	var refs []string
	for _, d := range l.index.Manifests {
		if ref := d.Annotations[refAnnotation]; ref != "" {
			refs = append(refs, fmt.Sprintf("%q", ref))
		}
	}
	return listing(refs)
}

// listing is a list for a message, of at most ten.
func listing(names []string) string {
	if len(names) == 0 {
		return "none that has a name"
	}
	if len(names) > 10 {
		names = append(slices.Clone(names[:10]), "and more")
	}
	return strings.Join(names, ", ")
}

// only is the one image where there is one.
func only(all []Listed) (Listed, error) {
	switch len(all) {
	case 0:
		return Listed{}, errors.New("there is no image in it")
	case 1:
		return all[0], nil
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Names...)
	}
	return Listed{}, fmt.Errorf("%d images are in it, say which: %s", len(all), listing(names))
}

// fullName is empty where s is no name of an image.
func fullName(s string) string {
	ref, err := pull.ParseReference(s)
	if err != nil {
		return ""
	}
	return ref.Name()
}

// Manifest implements pull.Source.
func (l *layout) Manifest(_ context.Context, identifier string) ([]byte, types.MediaType, error) {
	if identifier == "" {
		if l.isImage() {
			return l.body, l.index.MediaType, nil
		}
		found, err := l.Find("")
		if err != nil {
			return nil, "", err
		}
		identifier = found.Identifier
	}
	name, err := blobName(identifier)
	if err != nil {
		return nil, "", err
	}
	body, err := document(l.files, name)
	if err != nil {
		return nil, "", err
	}
	for _, d := range l.index.Manifests {
		if d.Digest.String() != identifier {
			continue
		}
		if d.Size != int64(len(body)) {
			return nil, "", fmt.Errorf("%w: %s has %d bytes, not %d", registry.ErrSize, name, len(body), d.Size)
		}
		return body, d.MediaType, nil
	}
	return body, "", nil
}

// Blob implements pull.Source.
func (l *layout) Blob(_ context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	name, err := blobName(digest)
	if err != nil {
		return nil, err
	}
	c, err := l.open(name)
	if err != nil {
		return nil, err
	}
	return c.from(name, size, offset)
}

// blobName is strict, as the digest becomes a file's name (CVE-2024-3727).
func blobName(digest string) (string, error) {
	hash, err := v1.NewHash(digest)
	if err != nil || hash.Algorithm != "sha256" || len(hash.Hex) != 64 {
		return "", fmt.Errorf("digest %q is not sha256", digest)
	}
	return blobsDir + hash.Hex, nil
}
