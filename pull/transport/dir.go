package transport

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dirVersionFile marks a directory that skopeo made (containers-transports(5),
// dir:): manifest.json, and each blob under the digits of its digest.
const dirVersionFile = "version"

// dirVersion is what stands in it.
const dirVersion = "Directory Transport Version: 1.1\n"

// flat is such a directory: one image.
type flat struct{ files }

func openDir(from files) (flat, error) {
	if !has(from, manifestFile) {
		return flat{}, fmt.Errorf("has no %s", manifestFile)
	}
	return flat{from}, nil
}

// Images implements Store.
func (f flat) Images() ([]Listed, error) { return []Listed{{}}, nil }

// Find implements Store. A digest is that of a manifest which an index names.
func (f flat) Find(image string) (Listed, error) {
	if image != "" {
		return Listed{}, fmt.Errorf("%q: what is in a dir: has no name", image)
	}
	return Listed{}, nil
}

// Manifest implements pull.Source.
func (f flat) Manifest(_ context.Context, identifier string) ([]byte, types.MediaType, error) {
	name := manifestFile
	if identifier != "" {
		blob, err := blobName(identifier)
		if err != nil {
			return nil, "", err
		}
		// skopeo copy --all: the manifests that an index names.
		name = strings.TrimPrefix(blob, blobsDir) + ".manifest.json"
	}
	body, err := document(f.files, name)
	return body, "", err
}

// Blob implements pull.Source.
func (f flat) Blob(_ context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	blob, err := blobName(digest)
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(blob, blobsDir)
	c, err := f.open(name)
	if err != nil {
		return nil, err
	}
	return c.from(name, size, offset)
}
