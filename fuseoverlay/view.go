package fuseoverlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.podman.io/storage"
)

// View reads the images of a store from its files, as the user whose store it
// is: no namespace, no lock, nothing made. containers/storage replaces its list
// of images whole (rename(2)), so what is read is what one moment had. The
// files belong to the user himself, unlike those in layers.
type View struct {
	// GraphRoot is that of Config, or its Lists where it has such.
	GraphRoot string
	// LayerRoot is the GraphRoot of a Config that has Lists.
	LayerRoot string
	// Stores finds the images of the image stores that are read beside it: those that
	// bear a name, or all where it is empty or none does. It may be nil.
	Stores func(name string) []StoredImage
}

// imagesFile is containers/storage's list of images, below the graph root.
const imagesFile = driverName + "-images/images.json"

// layersFile is its list of layers.
const layersFile = driverName + "-layers/layers.json"

// Images lists all images, without their config and manifest. Where there is no
// store yet there are none.
func (v View) Images() ([]Image, error) {
	recs, err := v.records()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	out := make([]Image, 0, len(recs))
	for i := range recs {
		out = append(out, *describe(&recs[i]))
	}
	return v.withStores(out), nil
}

func (v View) records() ([]storage.Image, error) {
	var recs []storage.Image
	err := v.read(imagesFile, &recs)
	return recs, err
}

// read reads one of containers/storage's lists; one that is not there is empty.
func (v View) read(name string, list any) error {
	path := filepath.Join(v.GraphRoot, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, list); err != nil {
		return &DamagedError{What: path, Err: err}
	}
	return nil
}

// Layers are those of a store, by their ids.
type Layers map[string]Layer

// Layer is what an image's files are kept in. Images share it.
type Layer struct {
	Parent string // the id of the one below; empty for the lowest
	Size   int64  // uncompressed, in bytes
}

// Layers lists all layers.
func (v View) Layers() (Layers, error) {
	var recs []storage.Layer
	if err := v.read(layersFile, &recs); err != nil {
		return nil, fmt.Errorf("list layers: %w", err)
	}
	layers := Layers{}
	for _, rec := range recs {
		layers[rec.ID] = Layer{Parent: rec.Parent, Size: max(rec.UncompressedSize, 0)}
	}
	for _, i := range v.stored("") {
		i.addLayers(layers)
	}
	return layers, nil
}

// Below lists the ids of a layer and of all below it.
func (l Layers) Below(top string) []string {
	var ids []string
	for id := top; id != "" && len(ids) <= len(l); id = l[id].Parent {
		if _, ok := l[id]; ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Size adds up layers, each once.
func (l Layers) Size(ids map[string]bool) int64 {
	var sum int64
	for id := range ids {
		sum += l[id].Size
	}
	return sum
}

// Find finds an image by what Store.Image takes, without its config and manifest.
func (v View) Find(ref string) (*Image, error) {
	recs, err := v.records()
	if err != nil {
		return nil, fmt.Errorf("look up image %q: %w", ref, err)
	}
	ref = strings.TrimPrefix(ref, "sha256:")
	rec := findRecord(recs, ref)
	if v.Stores != nil && (rec == nil || slices.Contains(describe(rec).Shared, ref)) {
		if stored := v.findStored(recs, ref); stored != nil {
			return stored, nil
		}
	}
	if rec == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, ref)
	}
	return describe(rec), nil
}

// Image finds an image, and reads its config and manifest.
func (v View) Image(ref string) (*Image, error) {
	img, err := v.Find(ref)
	if err != nil || img.In != "" {
		return img, err
	}
	for _, part := range []struct {
		key  string
		into *[]byte
	}{{configKey, &img.Config}, {manifestKey, &img.Manifest}} {
		*part.into, err = os.ReadFile(filepath.Join(v.GraphRoot, filepath.Dir(imagesFile), img.ID, part.key))
		if errors.Is(err, fs.ErrNotExist) && !v.has(img.ID) {
			return nil, fmt.Errorf("%w: %s", ErrNoImage, ref) // removed as we read
		}
		if err != nil {
			return nil, &DamagedError{What: "image " + img.ID, Err: fmt.Errorf("%s: %w", part.key, err)}
		}
	}
	return img, nil
}

// Config reads the configuration of an image by its whole id.
func (v View) Config(id string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(v.GraphRoot, filepath.Dir(imagesFile), id, configKey))
	if errors.Is(err, fs.ErrNotExist) {
		for _, i := range v.stored("") {
			if i.ID == id {
				return i.Config, nil
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %s: %w", id, configKey, err)
	}
	return text, nil
}

func (v View) has(id string) bool {
	recs, err := v.records()
	return err != nil || findRecord(recs, id) != nil
}

// findRecord looks an image up in the order of containers/storage: id, name,
// the beginning of one id, and then the digest of its manifest.
func findRecord(recs []storage.Image, ref string) *storage.Image {
	var begun []*storage.Image
	for i := range recs {
		if recs[i].ID == ref {
			return &recs[i]
		}
		if ref != "" && strings.HasPrefix(recs[i].ID, ref) {
			begun = append(begun, &recs[i])
		}
	}
	for i := range recs {
		for _, name := range recs[i].Names {
			if name == ref {
				return &recs[i]
			}
		}
	}
	if len(begun) == 1 {
		return begun[0]
	}
	name, want, byDigest := strings.Cut(ref, "@")
	if !byDigest {
		return nil
	}
	for i := range recs {
		if hasDigest(&recs[i], want) && inRepository(&recs[i], name) {
			return &recs[i]
		}
	}
	return nil
}

// hasDigest reports whether an image, or one of its manifests, has the digest.
func hasDigest(rec *storage.Image, want string) bool {
	if rec.Digest.String() == want {
		return true
	}
	for key, d := range rec.BigDataDigests {
		if strings.HasPrefix(key, manifestKey) && d.String() == want {
			return true
		}
	}
	return false
}

// inRepository reports whether an image was ever known by a name of the
// repository that name is in.
func inRepository(rec *storage.Image, name string) bool {
	for _, names := range [][]string{rec.Names, rec.NamesHistory} {
		for _, n := range names {
			if repository(n) == repository(name) {
				return true
			}
		}
	}
	return false
}
