package imagestore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
	"rootlet/pull/grammar"
)

// The files of the directory, besides blobs.
const (
	layoutFile = "oci-layout"
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
	indexFile  = "index.json"
	blobsDir   = "blobs/sha256"
	lockFile   = ".publish.lock"
)

// The annotations of an entry: its name, twice as other programs look for it (see
// package transport), and how many bytes each layer is unpacked, the lowest first.
// The sizes are for show; nothing relies on them.
const (
	refAnnotation   = "org.opencontainers.image.ref.name"
	nameAnnotation  = "io.containerd.image.name"
	sizesAnnotation = "rootlet.layer-sizes"
)

// maxEntries bounds what one directory makes a reader do.
const maxEntries = 10_000

// Entry is an image as index.json lists it.
type Entry struct {
	Digest string   // of its manifest
	Names  []string // full names (pull.Reference.Name)
	Sizes  []int64  // of its layers when unpacked; empty where that is not known

	size      int64
	mediaType types.MediaType
}

// parseIndex reads index.json. What this package does not understand of an entry is
// as if it were not there: other programs may write layouts too.
func parseIndex(body []byte) ([]Entry, error) {
	var index v1.IndexManifest
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	if len(index.Manifests) > maxEntries {
		return nil, fmt.Errorf("%s: more than %d images", indexFile, maxEntries)
	}
	var all []Entry
	at, named := map[string]int{}, map[string]bool{}
	for _, d := range index.Manifests {
		if d.Digest.Algorithm != "sha256" || !grammar.IsSHA256(d.Digest.Hex) || d.MediaType.IsIndex() {
			continue
		}
		digest := d.Digest.String()
		i, known := at[digest]
		if !known {
			i = len(all)
			at[digest] = i
			all = append(all, Entry{Digest: digest, Sizes: sizesOf(d.Annotations[sizesAnnotation]), size: d.Size, mediaType: d.MediaType})
		}
		if name := nameOf(d.Annotations); name != "" && !named[name] {
			named[name] = true
			all[i].Names = append(all[i].Names, name)
		}
	}
	return all, nil
}

// nameOf is an entry's full name; a tag alone names nothing.
func nameOf(annotations map[string]string) string {
	for _, key := range []string{nameAnnotation, refAnnotation} {
		if given := annotations[key]; strings.ContainsAny(given, "/:") {
			if ref, err := pull.ParseReference(given); err == nil && ref.Digest() == "" {
				return ref.Name()
			}
		}
	}
	return ""
}

func sizesOf(text string) []int64 {
	if text == "" {
		return nil
	}
	var sizes []int64
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 {
			return nil
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// formatIndex is what parseIndex reads.
func formatIndex(all []Entry) ([]byte, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, e := range all {
		digest, err := v1.NewHash(e.Digest)
		if err != nil {
			return nil, err
		}
		var words []string
		for _, n := range e.Sizes {
			words = append(words, strconv.FormatInt(n, 10))
		}
		d := v1.Descriptor{MediaType: e.mediaType, Digest: digest, Size: e.size}
		if len(words) > 0 {
			d.Annotations = map[string]string{sizesAnnotation: strings.Join(words, ",")}
		}
		if len(e.Names) == 0 {
			index.Manifests = append(index.Manifests, d)
		}
		for _, name := range e.Names {
			named := d
			named.Annotations = map[string]string{refAnnotation: name, nameAnnotation: name}
			if len(words) > 0 {
				named.Annotations[sizesAnnotation] = strings.Join(words, ",")
			}
			index.Manifests = append(index.Manifests, named)
		}
	}
	return json.Marshal(index)
}

// with is the list with an image on it, which takes its names from those that had
// them; one that is left without a name goes.
func with(all []Entry, e Entry) []Entry {
	var list []Entry
	for _, old := range all {
		had := len(old.Names)
		old.Names = slices.DeleteFunc(slices.Clone(old.Names), func(name string) bool { return slices.Contains(e.Names, name) })
		if old.Digest == e.Digest {
			e.Names = append(slices.Clone(e.Names), old.Names...)
			continue
		}
		if len(old.Names) > 0 || had == 0 {
			list = append(list, old)
		}
	}
	return append(list, e)
}
