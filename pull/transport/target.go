package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
)

// Target writes images into files. Blobs come out in the order in which they are
// put, so that the same calls make the same bytes.
type Target struct {
	mu       sync.Mutex
	to       sink
	as       format
	finished bool
}

var _ pull.Target = (*Target)(nil)

// format is what is written besides blobs.
type format interface {
	begun(in files) (bool, error) // whether a directory is of this format
	mark(to sink) error           // make it one
	blob(digest v1.Hash) string   // the name of its file
	manifest(to sink, identifier string, body []byte, t types.MediaType) error
	finish(to sink) error
}

// NewArchive writes an archive, OCIArchive or DockerArchive, to w.
func NewArchive(w io.Writer, kind Kind) (*Target, error) {
	as := &layoutFormat{docker: kind == DockerArchive}
	if kind != DockerArchive && kind != OCIArchive {
		return nil, fmt.Errorf("%s is no archive", kind)
	}
	return &Target{to: newTarSink(w), as: as}, nil
}

// NewDirectory writes into an open directory, which is closed with the target:
// OCI, to which images are added, or Dir, whose image is replaced. One that has
// other files in it is refused, since names such as manifest.json are anybody's.
func NewDirectory(top *os.File, kind Kind) (*Target, error) {
	to := &dirSink{top: top}
	t := &Target{to: to}
	switch kind {
	case Dir:
		t.as = &flatFormat{}
		return t, claim(to, t.as, kind)
	case OCI:
		as := &layoutFormat{}
		t.as = as
		if err := claim(to, as, kind); err != nil {
			return nil, err
		}
		return t, as.load(to)
	}
	return nil, fmt.Errorf("%s is no directory", kind)
}

// claim makes an empty directory one of this format. That comes before all else
// that is written, so that one who was killed can write there again.
func claim(to *dirSink, as format, kind Kind) error {
	if is, err := as.begun(directory{to.top}); is || err != nil {
		return err
	}
	empty, err := to.empty()
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("is not empty and no image of the kind %s: nothing is written there, name another directory", kind)
	}
	return as.mark(to)
}

// HasBlob implements pull.Target.
func (t *Target) HasBlob(_ context.Context, d v1.Descriptor) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to.has(t.as.blob(d.Digest), d.Size), nil
}

// PutBlob implements pull.Target.
func (t *Target) PutBlob(ctx context.Context, d v1.Descriptor, open pull.BlobOpener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := t.as.blob(d.Digest)
	if t.to.has(name, d.Size) {
		return nil
	}
	r, err := open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	return t.to.put(name, d.Size, pull.Stoppable(ctx, r))
}

// PutManifest implements pull.Target. An identifier that is a full name becomes
// the image's; a tag becomes its reference in an OCI layout; a digest names
// nothing.
func (t *Target) PutManifest(_ context.Context, identifier string, body []byte, mediaType types.MediaType) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.as.manifest(t.to, identifier, body, mediaType)
}

// Finish writes what says which images there are.
func (t *Target) Finish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.as.finish(t.to); err != nil {
		return err
	}
	t.finished = true
	return t.to.finish()
}

// Close takes back what was written to a directory and not finished.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.finished {
		t.to.undo()
		t.finished = true
	}
	if d, ok := t.to.(*dirSink); ok {
		return d.top.Close()
	}
	return nil
}

func putText(to sink, name string, text []byte) error {
	return to.put(name, int64(len(text)), bytes.NewReader(text))
}

func putJSON(to sink, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return putText(to, name, text)
}

// layoutFormat is an OCI layout, and with docker also what older programs read:
// Docker writes both into one archive since version 25.
type layoutFormat struct {
	docker bool
	index  v1.IndexManifest
	images []dockerImage
	repos  map[string]map[string]string
}

// load takes over the images of a layout that is there.
func (f *layoutFormat) load(to sink) error {
	text, err := to.read(indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return understand(indexFile, text, &f.index, anIndex)
}

func (f *layoutFormat) begun(in files) (bool, error) {
	err := checkLayout(in)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *layoutFormat) mark(to sink) error {
	return putText(to, layoutFile, []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

func (f *layoutFormat) blob(digest v1.Hash) string { return blobsDir + digest.Hex }

func (f *layoutFormat) manifest(to sink, identifier string, body []byte, t types.MediaType) error {
	digest := digestOf(body)
	if err := putText(to, f.blob(digest), body); err != nil {
		return err
	}
	d := v1.Descriptor{MediaType: t, Digest: digest, Size: int64(len(body))}
	tag := ""
	if identifier != "" && !strings.HasPrefix(identifier, "sha256:") {
		d.Annotations, tag = f.annotations(identifier)
	}
	f.replace(d)
	if !f.docker {
		return nil
	}
	return f.forDocker(body, tag)
}

// annotations name an entry; tag is the short form of the name, where it is one.
func (f *layoutFormat) annotations(identifier string) (annotations map[string]string, tag string) {
	ref, err := pull.ParseReference(identifier)
	if err != nil || !strings.ContainsAny(identifier, "/:") {
		return map[string]string{refAnnotation: identifier}, ""
	}
	// The specification leaves open what the reference is. Podman takes it for the
	// whole name, Docker reads containerd's annotation before it.
	return map[string]string{refAnnotation: identifier, nameAnnotation: ref.Name()}, ref.Familiar()
}

// replace lists an image; it takes its name from the one that had it.
func (f *layoutFormat) replace(d v1.Descriptor) {
	name := d.Annotations[refAnnotation]
	kept := f.index.Manifests[:0]
	for _, old := range f.index.Manifests {
		if old.Annotations[refAnnotation] != name || name == "" && old.Digest != d.Digest {
			kept = append(kept, old)
		}
	}
	f.index.Manifests = append(kept, d)
}

// forDocker lists an image for readers of manifest.json.
func (f *layoutFormat) forDocker(body []byte, tag string) error {
	m := v1.Manifest{}
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if m.Config.Digest.Hex == "" {
		return nil // an index: its manifests come by themselves
	}
	i := dockerImage{Config: f.blob(m.Config.Digest), RepoTags: []string{}, Layers: []string{}}
	for _, l := range m.Layers {
		i.Layers = append(i.Layers, f.blob(l.Digest))
	}
	at := len(f.images)
	for n := range f.images {
		if f.images[n].Config == i.Config {
			at = n // the same image under another name
		}
	}
	if at == len(f.images) {
		f.images = append(f.images, i)
	}
	if tag == "" {
		return nil
	}
	f.images[at].RepoTags = append(f.images[at].RepoTags, tag)
	if colon := strings.LastIndexByte(tag, ':'); len(m.Layers) > 0 {
		if f.repos == nil {
			f.repos = map[string]map[string]string{}
		}
		if f.repos[tag[:colon]] == nil {
			f.repos[tag[:colon]] = map[string]string{}
		}
		f.repos[tag[:colon]][tag[colon+1:]] = m.Layers[len(m.Layers)-1].Digest.Hex
	}
	return nil
}

func (f *layoutFormat) finish(to sink) error {
	f.index.SchemaVersion, f.index.MediaType = 2, types.OCIImageIndex
	if f.index.Manifests == nil {
		f.index.Manifests = []v1.Descriptor{}
	}
	if err := f.mark(to); err != nil {
		return err
	}
	if f.docker {
		if err := putJSON(to, manifestFile, f.images); err != nil {
			return err
		}
		if len(f.repos) > 0 {
			if err := putJSON(to, repositoriesFile, f.repos); err != nil {
				return err
			}
		}
	}
	return putJSON(to, indexFile, f.index)
}

// flatFormat is skopeo's dir:.
type flatFormat struct{ body []byte }

// begun does not take any file called version for skopeo's.
func (f *flatFormat) begun(in files) (bool, error) {
	text, err := document(in, dirVersionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return bytes.HasPrefix(text, []byte(dirVersionWords)), err
}

func (f *flatFormat) mark(to sink) error {
	return putText(to, dirVersionFile, []byte(dirVersionWords+"1.1\n"))
}

func (f *flatFormat) blob(digest v1.Hash) string { return digest.Hex }

func (f *flatFormat) manifest(_ sink, _ string, body []byte, _ types.MediaType) error {
	if f.body != nil && !bytes.Equal(f.body, body) {
		return errors.New("a dir: holds one image")
	}
	f.body = body
	return nil
}

func (f *flatFormat) finish(to sink) error {
	if err := f.mark(to); err != nil {
		return err
	}
	return putText(to, manifestFile, f.body)
}
