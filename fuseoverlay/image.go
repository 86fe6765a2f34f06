package fuseoverlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"
)

// Image is an image in the store.
type Image struct {
	ID       string   // hexadecimal digest of its config
	Names    []string // full normalised names, as "docker.io/library/debian:latest"
	Digest   string   // of the manifest or index that its name stood for
	Config   []byte
	Manifest []byte
	TopLayer string // id in the store of its topmost layer; empty when it has none
	Created  time.Time
	Size     int64    // of its uncompressed layers, in bytes
	Shared   []string // those of its names that it has from an image store of others
	In       string   // the image store that it is in, where it is not here
}

// ImageRecord is what is stored of an image.
type ImageRecord struct {
	ID       string   // "sha256:HEX" or the digits alone
	Digest   string   // "sha256:HEX"
	TopLayer string   // chain id; empty when it has no layer
	Names    []string // full normalised names
	Manifest []byte
	Config   []byte
	Created  time.Time
	Shared   bool // it came from an image store of others, whose names for it may move
}

// ErrNoImage says that the store has no such image.
var ErrNoImage = errors.New("no such image")

// The names under which containers/storage keeps what belongs to an image. A
// key that begins with "manifest" makes it findable by the digest of its data.
const (
	manifestKey = "manifest"
	configKey   = "config"
)

// imageNotes is what rootlet adds to containers/storage's record.
type imageNotes struct {
	Version int      `json:"version"`
	Size    int64    `json:"size"`
	Shared  []string `json:"shared,omitempty"`
}

// Image finds an image by its full normalised name ("docker.io/library/debian:latest",
// or name@digest), its id, or a prefix of the id that no other image has.
func (s *Store) Image(ref string) (*Image, error) {
	rec, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	img := describe(rec)
	if img.Config, err = s.store.ImageBigData(rec.ID, configKey); err != nil {
		return nil, &DamagedError{What: "image " + rec.ID, Err: fmt.Errorf("config: %w", err)}
	}
	if img.Manifest, err = s.store.ImageBigData(rec.ID, manifestKey); err != nil {
		return nil, &DamagedError{What: "image " + rec.ID, Err: fmt.Errorf("manifest: %w", err)}
	}
	return img, nil
}

// find looks an image up, by what is exact first.
func (s *Store) find(ref string) (*storage.Image, error) {
	ref = strings.TrimPrefix(ref, "sha256:")
	rec, err := s.store.Image(ref)
	if err == nil {
		return rec, nil
	}
	if !errors.Is(err, storage.ErrImageUnknown) {
		return nil, fmt.Errorf("look up image %q: %w", ref, err)
	}
	if name, want, byDigest := strings.Cut(ref, "@"); byDigest {
		if rec := s.findByDigest(name, want); rec != nil {
			return rec, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoImage, ref)
}

// findByDigest finds an image of the repository that name is in, pulled under
// whatever tag, whose manifest has the digest.
func (s *Store) findByDigest(name, want string) *storage.Image {
	d, err := digest.Parse(want)
	if err != nil {
		return nil
	}
	images, err := s.store.ImagesByDigest(d)
	if err != nil {
		return nil
	}
	for _, img := range images {
		if inRepository(img, name) {
			return img
		}
	}
	return nil
}

// repository is a name without tag and digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}

// describe is the record in our words, without the data.
func describe(rec *storage.Image) *Image {
	var notes imageNotes
	_ = json.Unmarshal([]byte(rec.Metadata), &notes) // of another program: no size
	return &Image{
		ID:       rec.ID,
		Names:    rec.Names,
		Digest:   rec.Digest.String(),
		TopLayer: rec.TopLayer,
		Created:  rec.Created,
		Size:     notes.Size,
		Shared:   notes.Shared,
	}
}

// Images lists all images, without their config and manifest.
func (s *Store) Images() ([]Image, error) {
	recs, err := s.store.Images()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	out := make([]Image, 0, len(recs))
	for i := range recs {
		out = append(out, *describe(&recs[i]))
	}
	return out, nil
}

// chainSize adds up the layers' sizes, in bytes.
func (s *Store) chainSize(id string) (int64, error) {
	var sum int64
	for id != "" {
		l, err := s.store.Layer(id)
		if err != nil {
			return 0, fmt.Errorf("layer %s: %w", id, err)
		}
		sum += max(l.UncompressedSize, 0)
		id = l.Parent
	}
	return sum, nil
}
