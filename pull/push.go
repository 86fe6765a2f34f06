package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/blobs"
	"rootlet/pull/registry"
)

// PushOptions say how an image is pushed. The zero value sends the layers as they
// came, and those that came uncompressed with gzip.
type PushOptions struct {
	Compression string      // gzip or zstd for those that came uncompressed; empty is gzip
	Level       int         // 1 is fastest, 0 the usual one
	Recompress  bool        // those too that are compressed otherwise
	AsCame      bool        // what a registry gave stays as it was: only what came uncompressed from this host is compressed
	AsItIs      bool        // none at all
	Parallel    int         // layers at once, 0 for what suits this machine
	Events      func(Event) // progress, one call at a time, from other goroutines
}

// Pushed says what has become of an image.
type Pushed struct {
	Digest string // of its manifest
	Size   int64  // of its manifest, in bytes
	Layers []PushedLayer
}

// PushedLayer is what has become of a layer.
type PushedLayer struct {
	Digest  string // of what was sent
	Existed bool   // was not sent, because it was there
	Mounted string // the repository that it was taken from instead
}

// ErrNoBlob says that a layer's blob is not kept here.
var ErrNoBlob = errors.New("its blob is not kept here")

// Stored is what the store has of an image.
type Stored struct{ Manifest, Config []byte }

// Push sends an image that the store has to target, under each identifier. What
// it has of an image is the very bytes it was pulled with: the manifest's digest
// stays, unless a layer is compressed otherwise.
func Push(ctx context.Context, image Stored, kept *blobs.Store, to Target, identifiers []string, o PushOptions) (Pushed, error) {
	m, err := parseManifest(image.Manifest)
	if err != nil {
		return Pushed{}, err
	}
	if m.Config.Digest.String() != digestOf(image.Config) {
		return Pushed{}, faultf(DigestMismatch, "the stored config is not the one that the manifest names")
	}
	layers, err := newPushes(ctx, m, kept, to, o)
	if err != nil {
		return Pushed{}, err
	}
	if err := pushAll(ctx, layers, o.Parallel); err != nil {
		return Pushed{}, notTaken(err)
	}
	if err := putDocument(ctx, to, m.Config, image.Config); err != nil {
		return Pushed{}, fmt.Errorf("config: %w", err)
	}
	body, mediaType, err := pushedManifest(image.Manifest, m, layers)
	if err != nil {
		return Pushed{}, err
	}
	pushed := Pushed{Digest: digestOf(body), Size: int64(len(body))}
	for _, l := range layers {
		pushed.Layers = append(pushed.Layers, l.result)
	}
	for _, identifier := range identifiers {
		if err := to.PutManifest(ctx, identifier, body, mediaType); err != nil {
			return Pushed{}, fmt.Errorf("manifest: %w", err)
		}
	}
	return pushed, nil
}

// notTaken is err in a push's words: what is not found is no image there.
func notTaken(err error) error {
	var status *registry.StatusError
	if errors.As(err, &status) && status.NotFound() {
		return faultf(NotFound, "registry %s takes nothing under this name: %s", status.Host, status.Reason())
	}
	return err
}

// pushAll sends layers, a few at once. The first failure ends all.
func pushAll(ctx context.Context, layers []*layerPush, parallel int) error {
	if parallel <= 0 {
		parallel = min(max(runtime.GOMAXPROCS(0)+1, leastParallel), mostParallel)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *layerPush)
	var workers sync.WaitGroup
	for range min(parallel, len(layers)) {
		workers.Go(func() {
			for l := range next {
				if err := l.push(ctx); err != nil {
					cancel(fmt.Errorf("layer %s: %w", short(l.from.Digest.String()), err))
				}
			}
		})
	}
	for _, l := range layers {
		select {
		case next <- l:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// layerPush is one layer on its way.
type layerPush struct {
	from     v1.Descriptor // in the store's manifest
	to       v1.Descriptor // in the target's
	result   PushedLayer
	twin     *layerPush // the same blob, further down: it is sent once
	format   format     // that it is to have
	level    int
	windows  windows
	kept     *blobs.Store
	target   Target
	progress *progress
}

// mounter is a target that may find a blob in another repository.
type mounter interface {
	PutOrMount(ctx context.Context, d v1.Descriptor, open BlobOpener) (from string, err error)
}

func newPushes(ctx context.Context, m *v1.Manifest, kept *blobs.Store, to Target, o PushOptions) ([]*layerPush, error) {
	report := &reporter{sink: o.Events}
	windows := newWindows(MaxWindow)
	first := map[v1.Hash]*layerPush{}
	var all []*layerPush
	for i, d := range m.Layers {
		is, err := layerFormat(d.MediaType)
		if err != nil {
			return nil, err
		}
		l := &layerPush{from: d, to: d, format: is, level: o.Level, windows: windows, kept: kept, target: to, twin: first[d.Digest]}
		l.progress = &progress{to: report, last: Event{Index: i, Layer: d.Digest.String(), Size: d.Size}}
		if l.format, err = wanted(is, kept.Packed(d.Digest.String()), o); err != nil {
			return nil, err
		}
		if l.twin == nil {
			first[d.Digest] = l
		}
		l.progress.state(Waiting)
		all = append(all, l)
	}
	return all, ctx.Err()
}

// wanted is the format in which a layer is sent.
func wanted(is format, packed bool, o PushOptions) (format, error) {
	want := formatGzip
	switch o.Compression {
	case "", "gzip":
	case "zstd":
		want = formatZstd
	default:
		return "", fmt.Errorf("compression %q is neither gzip nor zstd", o.Compression)
	}
	switch {
	case o.AsItIs:
	case o.Recompress, is == formatTar && (packed || o.Compression != "" && !o.AsCame):
		return want, nil
	}
	return is, nil
}

// push sends the layer, if it has to be sent.
func (l *layerPush) push(ctx context.Context) error {
	if l.twin != nil {
		return nil // see pushedManifest
	}
	is, err := layerFormat(l.from.MediaType)
	if err != nil {
		return err
	}
	if l.format != is {
		if there, err := l.compressedBefore(ctx); there || err != nil {
			return err
		}
		drop, err := l.compress(ctx, is)
		if err != nil {
			return err
		}
		defer drop()
	}
	there, err := l.target.HasBlob(ctx, l.to)
	if err != nil {
		return err
	}
	if there {
		l.done(PushedLayer{Existed: true})
		return nil
	}
	return l.send(ctx)
}

// done reports how it ended.
func (l *layerPush) done(r PushedLayer) {
	r.Digest = l.to.Digest.String()
	l.result = r
	l.progress.last.Size = l.to.Size
	if r.Existed {
		l.progress.state(Exists)
		return
	}
	l.progress.last.Fetched = l.to.Size
	l.progress.state(Done)
}

func (l *layerPush) send(ctx context.Context) error {
	l.progress.last.Size, l.progress.last.Fetched = l.to.Size, 0
	l.progress.state(Fetching)
	open := func(offset int64) (io.ReadCloser, error) {
		blob, size, err := l.kept.Open(l.to.Digest.String(), offset)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoBlob
		}
		if err != nil {
			return nil, err
		}
		if size != l.to.Size {
			blob.Close()
			return nil, fmt.Errorf("the kept blob has %d bytes, not %d", size, l.to.Size)
		}
		l.progress.last.Fetched = offset
		return &sentBlob{blob, l.progress}, nil
	}
	from, err := "", error(nil)
	if m, ok := l.target.(mounter); ok {
		from, err = m.PutOrMount(ctx, l.to, open)
	} else {
		err = l.target.PutBlob(ctx, l.to, open)
	}
	if err != nil {
		return err
	}
	l.done(PushedLayer{Mounted: from})
	return nil
}

// sentBlob counts what is sent.
type sentBlob struct {
	io.ReadCloser
	progress *progress
}

// Read implements io.Reader.
func (b *sentBlob) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.progress.fetched(n)
	return n, err
}

func putDocument(ctx context.Context, to Target, d v1.Descriptor, body []byte) error {
	there, err := to.HasBlob(ctx, d)
	if there || err != nil {
		return err
	}
	return to.PutBlob(ctx, d, func(offset int64) (io.ReadCloser, error) { return openText(body, offset), nil })
}

// pushedManifest is the manifest with the layers as they were sent: its very
// bytes where they are as they came.
func pushedManifest(body []byte, m *v1.Manifest, layers []*layerPush) ([]byte, types.MediaType, error) {
	changed, zstd := false, false
	for _, l := range layers {
		if l.twin != nil {
			l.to, l.result = l.twin.to, l.twin.result
			l.progress.state(l.twin.progress.last.State)
		}
		changed = changed || l.to.Digest != l.from.Digest
		zstd = zstd || l.format == formatZstd
	}
	if !changed {
		return body, manifestType(m), nil
	}
	m.MediaType = manifestType(m)
	for i, l := range layers {
		m.Layers[i].Digest, m.Layers[i].Size, m.Layers[i].MediaType = l.to.Digest, l.to.Size, l.to.MediaType
	}
	if zstd { // Docker's own manifest knows no such layers
		asOCI(m)
	}
	body, err := json.Marshal(m)
	return body, m.MediaType, err
}

// manifestType is what a manifest says it is, or what follows from its config:
// OCI's may leave it out.
func manifestType(m *v1.Manifest) types.MediaType {
	switch {
	case m.MediaType != "":
		return m.MediaType
	case m.Config.MediaType == types.DockerConfigJSON:
		return types.DockerManifestSchema2
	}
	return types.OCIManifestSchema1
}

func asOCI(m *v1.Manifest) {
	m.MediaType, m.Config.MediaType = types.OCIManifestSchema1, types.OCIConfigJSON
	for i := range m.Layers {
		if oci, ok := ociLayers[m.Layers[i].MediaType]; ok {
			m.Layers[i].MediaType = oci
		}
	}
}
