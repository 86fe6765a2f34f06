package imagestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// made is an image as it is put into a store.
type made struct {
	layer, config, manifest []byte
	descriptors             []v1.Descriptor // of layer and config
}

// image makes one whose layer is this text.
func image(t *testing.T, text string) made {
	t.Helper()
	m := made{layer: []byte(text)}
	layer := described(types.OCIUncompressedLayer, m.layer)
	m.config, _ = json.Marshal(map[string]any{
		"created": "2026-01-02T03:04:05Z", "os": "linux", "architecture": "amd64",
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest.String()}},
	})
	config := described(types.OCIConfigJSON, m.config)
	m.descriptors = []v1.Descriptor{layer, config}
	var err error
	m.manifest, err = json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: []v1.Descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func described(mediaType types.MediaType, body []byte) v1.Descriptor {
	sum := sha256.Sum256(body)
	return v1.Descriptor{MediaType: mediaType, Size: int64(len(body)), Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}}
}

func (m made) put(t *testing.T, w *Writer, names ...string) {
	t.Helper()
	to := w.Target(names, []int64{int64(len(m.layer))})
	for i, body := range [][]byte{m.layer, m.config} {
		err := to.PutBlob(context.Background(), m.descriptors[i], func(int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(body)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := to.PutManifest(context.Background(), "", m.manifest, types.OCIManifestSchema1); err != nil {
		t.Fatal(err)
	}
}

// publish puts one image into the store.
func publish(t *testing.T, dir, text string, names ...string) made {
	t.Helper()
	w, err := Create(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	m := image(t, text)
	m.put(t, w, names...)
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return m
}

// reading opens the store, to the end of the test.
func reading(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// modes are those of all that is below a directory, by path.
func modes(t *testing.T, dir string) map[string]os.FileMode {
	t.Helper()
	found := map[string]os.FileMode{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			found[path] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// masked has the process's umask for the test.
func masked(t *testing.T, mask int) {
	before := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(before) })
}
