package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dirVersionFile marks a directory that skopeo made (containers-transports(5),
// dir:): manifest.json, and each blob under the digits of its digest.
const dirVersionFile = "version"

// dirVersionWords is what stands in it, before the version.
const dirVersionWords = "Directory Transport Version: "

// flat is such a directory: one image.
type flat struct {
	files
	body []byte // its manifest or index
}

func openDir(from files) (flat, error) {
	body, err := document(from, manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return flat{}, fmt.Errorf("has no %s", manifestFile)
	}
	if err != nil {
		return flat{}, err
	}
	f := flat{from, body}
	f.body, err = f.corrected()
	return f, err
}

// corrected is the manifest with the types of layers that are not compressed and
// said to be: Podman writes them so from its store, as Docker's manifests had no
// name for them.
func (f flat) corrected() ([]byte, error) {
	m := v1.Manifest{}
	if err := understand(manifestFile, f.body, &m, "the manifest of an image"); err != nil {
		return nil, err
	}
	wrong := false
	for i, l := range m.Layers[:min(len(m.Layers), maxLayers)] {
		if l.MediaType != types.DockerLayer {
			continue
		}
		c, err := f.open(l.Digest.Hex)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it may be in the store
		}
		if err != nil {
			return nil, err
		}
		is, err := sniffLayer(c)
		c.Close()
		if err != nil {
			return nil, err
		}
		if is == types.OCIUncompressedLayer {
			m.Layers[i].MediaType, wrong = types.DockerUncompressedLayer, true
		}
	}
	if !wrong {
		return f.body, nil
	}
	return json.Marshal(m)
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
	if identifier == "" {
		return f.body, "", nil
	}
	blob, err := blobName(identifier)
	if err != nil {
		return nil, "", err
	}
	// skopeo copy --all: the manifests that an index names.
	body, err := document(f.files, strings.TrimPrefix(blob, blobsDir)+".manifest.json")
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
