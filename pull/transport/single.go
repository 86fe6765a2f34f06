package transport

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"rootlet/pull"
)

// single is one file that is a layer.
type single struct{ file *os.File }

func (s single) Close() error { return s.file.Close() }

func (s single) open(string) (*content, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: no regular file", fs.ErrInvalid)
	}
	return &content{io.NewSectionReader(s.file, 0, info.Size()), nil}, nil
}

// OneLayer is the image of that config and manifest, whose only layer is a file:
// a tar, which the manifest names by its digest.
func OneLayer(layer *os.File, manifest, config []byte) (pull.Source, error) {
	d := newDocker(single{layer})
	d.made[digestOf(config).String()] = config
	digest := digestOf(manifest).String()
	d.manifests[digest] = manifest
	d.images = []Listed{{Identifier: digest}}
	layers, err := Layers(manifest)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		d.blobs[l] = l
	}
	return d, nil
}

var (
	_ pull.Source = (*layout)(nil)
	_ pull.Source = flat{}
)
