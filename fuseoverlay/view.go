package fuseoverlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/storage"
)

// View reads the images of a store from its files, as the user whose store it
// is: no namespace, no lock, nothing made. containers/storage replaces its list
// of images whole (rename(2)), so what is read is what one moment had. The
// files belong to the user himself, unlike those in layers.
type View struct {
	// GraphRoot is that of Config.
	GraphRoot string
}

// imagesFile is containers/storage's list of images, below the graph root.
const imagesFile = driverName + "-images/images.json"

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
	return out, nil
}

func (v View) records() ([]storage.Image, error) {
	text, err := os.ReadFile(filepath.Join(v.GraphRoot, imagesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var recs []storage.Image
	if err := json.Unmarshal(text, &recs); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", filepath.Join(v.GraphRoot, imagesFile), err)
	}
	return recs, nil
}

// Image finds an image by what Store.Image takes, and reads its config and
// manifest.
func (v View) Image(ref string) (*Image, error) {
	recs, err := v.records()
	if err != nil {
		return nil, fmt.Errorf("look up image %q: %w", ref, err)
	}
	rec := findRecord(recs, strings.TrimPrefix(ref, "sha256:"))
	if rec == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, ref)
	}
	img := describe(rec)
	for _, part := range []struct {
		key  string
		into *[]byte
	}{{configKey, &img.Config}, {manifestKey, &img.Manifest}} {
		*part.into, err = os.ReadFile(filepath.Join(v.GraphRoot, filepath.Dir(imagesFile), rec.ID, part.key))
		if errors.Is(err, fs.ErrNotExist) && !v.has(rec.ID) {
			return nil, fmt.Errorf("%w: %s", ErrNoImage, ref) // removed as we read
		}
		if err != nil {
			return nil, fmt.Errorf("image %s: %s: %w", rec.ID, part.key, err)
		}
	}
	return img, nil
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
