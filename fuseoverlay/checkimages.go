package fuseoverlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"
)

// readImages reads the list of images, and puts images back on it that have lost
// their record: what names they had, the list's copy knows.
func (a *audit) readImages() error {
	list, spare, wrong := readDamaged[storage.Image](a.store, imagesFile, imagesCopy)
	a.spareImages = spare
	if wrong != nil {
		a.found("the list of images", wrong.Error(), "restored from its copy")
		a.images, a.imagesChanged = nil, true
	}
	for _, rec := range list {
		switch {
		case !isID(rec.ID):
			a.found("the list of images", fmt.Sprintf("has an image %q", rec.ID), "dropped")
			a.imagesChanged = true
		case a.imageRecord(rec.ID) != nil:
			a.found("image "+short(rec.ID), "is on the list twice", "dropped once")
			a.imagesChanged = true
		default:
			a.images = append(a.images, rec)
		}
	}
	lost, err := a.unlisted()
	if err != nil {
		return err
	}
	for _, id := range lost {
		rec, done := storage.Image{ID: id, Created: time.Now()}, "restored without a name"
		for _, old := range spare {
			if old.ID == id {
				rec, done = old, "restored"
			}
		}
		if wrong == nil {
			a.found("image "+short(id), "has no record", done)
		}
		rec.Names = slices.DeleteFunc(rec.Names, a.isName)
		a.images, a.imagesChanged = append(a.images, rec), true
	}
	return nil
}

func (a *audit) imageRecord(id string) *storage.Image {
	for i := range a.images {
		if a.images[i].ID == id {
			return &a.images[i]
		}
	}
	return nil
}

// isName reports whether an image on the list has the name.
func (a *audit) isName(name string) bool {
	return slices.ContainsFunc(a.images, func(i storage.Image) bool { return slices.Contains(i.Names, name) })
}

// unlisted are the images whose files are there and whose record is not; those
// that were being removed go.
func (a *audit) unlisted() ([]string, error) {
	dirs, err := filepath.Glob(a.store.imageDir("*"))
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, dir := range dirs {
		id := filepath.Base(dir)
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || a.imageRecord(id) != nil {
			continue
		}
		if isID(id) && !exists(filepath.Join(dir, removedMark)) && configDigest(dir) == id {
			lost = append(lost, id)
			continue
		}
		a.found("image "+short(id), "was not removed to its end", "removed")
		if a.Repair {
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
	}
	return lost, nil
}

func configDigest(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, configKey))
	if err != nil {
		return ""
	}
	return digest.FromBytes(text).Encoded()
}

func isID(id string) bool { return digest.NewDigestFromEncoded(digest.SHA256, id).Validate() == nil }

// soundDigests looks for digests that are none.
func soundDigests(rec *storage.Image) error {
	all := slices.Collect(maps.Values(rec.BigDataDigests))
	if rec.Digest != "" {
		all = append(all, rec.Digest)
	}
	for _, d := range all {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("digest %q: %w", d, err)
		}
	}
	return nil
}

// imageConfig and imageManifest are what of them tells the layers.
type (
	imageConfig struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	imageManifest struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	descriptor struct {
		Digest digest.Digest `json:"digest"`
	}
)

// checkImages compares each image's files with the digests that they are known
// by, and its record with them, and learns which layers are needed.
func (a *audit) checkImages() error {
	for i := range a.images {
		rec := &a.images[i]
		files, err := a.readImage(rec)
		if err != nil {
			a.lost[rec.ID] = err.Error()
			continue
		}
		if wrong := files.differs(rec); wrong != "" {
			a.found("image "+short(rec.ID), "its record is damaged: "+wrong, "restored")
			files.correct(rec)
			a.imagesChanged = true
		}
		for _, l := range files.layers {
			a.want(l, rec.ID)
		}
	}
	return nil
}

// imageFiles is what an image's files say.
type imageFiles struct {
	manifest, config []byte
	layers           []wantedLayer // the lowest first
}

func (a *audit) readImage(rec *storage.Image) (*imageFiles, error) {
	dir := a.store.imageDir(rec.ID)
	f := &imageFiles{}
	var err error
	if f.config, err = os.ReadFile(filepath.Join(dir, configKey)); errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("its configuration is gone")
	} else if err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	if digest.FromBytes(f.config).Encoded() != rec.ID {
		return nil, errors.New("its configuration is damaged")
	}
	if f.manifest, err = os.ReadFile(filepath.Join(dir, manifestKey)); errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("its manifest is gone")
	} else if err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	var config imageConfig
	var manifest imageManifest
	if json.Unmarshal(f.config, &config) != nil || json.Unmarshal(f.manifest, &manifest) != nil ||
		manifest.Config.Digest.String() != "sha256:"+rec.ID || len(manifest.Layers) != len(config.RootFS.DiffIDs) {
		return nil, errors.New("its manifest is damaged")
	}
	if found := digest.FromBytes(f.manifest); !slices.Contains(a.manifestDigests(rec, found), found) {
		return nil, errors.New("its manifest is damaged")
	}
	f.layers = chainOf(config.RootFS.DiffIDs, manifest.Layers)
	return f, nil
}

// manifestDigests are those that an image's manifest may have by what is written
// down of it: one of these may be damaged itself.
func (a *audit) manifestDigests(rec *storage.Image, found digest.Digest) []digest.Digest {
	all := []digest.Digest{rec.Digest, rec.BigDataDigests[manifestKey]}
	for _, old := range a.spareImages {
		if old.ID == rec.ID {
			all = append(all, old.BigDataDigests[manifestKey])
		}
	}
	if slices.ContainsFunc(all, func(d digest.Digest) bool { return d != "" }) {
		return all
	}
	return []digest.Digest{found} // nothing is written down
}

// chainOf names an image's layers (OCI image specification, config.md, ChainID).
func chainOf(diffIDs []digest.Digest, blobs []descriptor) []wantedLayer {
	var chain []wantedLayer
	parent := ""
	for i, diffID := range diffIDs {
		id := diffID.Encoded()
		if parent != "" {
			id = digest.FromString("sha256:" + parent + " " + diffID.String()).Encoded()
		}
		chain = append(chain, wantedLayer{id: id, parent: parent, diffID: diffID, depth: i, blobs: []string{blobs[i].Digest.String()}})
		parent = id
	}
	return chain
}

func (f *imageFiles) top() string {
	if len(f.layers) == 0 {
		return ""
	}
	return f.layers[len(f.layers)-1].id
}

// differs says what of a record is not so.
func (f *imageFiles) differs(rec *storage.Image) string {
	var notes imageNotes
	names := slices.Sorted(slices.Values(rec.BigDataNames))
	switch {
	case rec.TopLayer != f.top():
		return "another layer"
	case soundDigests(rec) != nil:
		return soundDigests(rec).Error()
	case !slices.Equal(names, []string{configKey, manifestKey}), !maps.Equal(rec.BigDataSizes, f.sizes()), !maps.Equal(rec.BigDataDigests, f.digests()):
		return "other files"
	case json.Unmarshal([]byte(rec.Metadata), &notes) != nil:
		return "its notes"
	case slices.ContainsFunc(rec.Names, func(name string) bool { return !strings.ContainsAny(name, ":@") }):
		return "a name that is none"
	}
	return ""
}

func (f *imageFiles) sizes() map[string]int64 {
	return map[string]int64{configKey: int64(len(f.config)), manifestKey: int64(len(f.manifest))}
}

func (f *imageFiles) digests() map[string]digest.Digest {
	return map[string]digest.Digest{configKey: digest.FromBytes(f.config), manifestKey: digest.FromBytes(f.manifest)}
}

// correct makes a record say what the files say.
func (f *imageFiles) correct(rec *storage.Image) {
	rec.TopLayer = f.top()
	rec.BigDataNames = []string{manifestKey, configKey}
	rec.BigDataSizes, rec.BigDataDigests = f.sizes(), f.digests()
	if rec.Digest == "" || rec.Digest.Validate() != nil {
		rec.Digest = digest.FromBytes(f.manifest)
	}
	var notes imageNotes
	if json.Unmarshal([]byte(rec.Metadata), &notes) != nil {
		rec.Metadata = `{"version":1,"size":0}`
	}
	rec.Names = slices.DeleteFunc(rec.Names, func(name string) bool { return !strings.ContainsAny(name, ":@") })
}
