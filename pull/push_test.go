package pull

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/blobs"
	"rootlet/pull/registry"
	"rootlet/pull/registrytest"
)

// memTarget is a Target in memory.
type memTarget struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte
	types     map[string]types.MediaType
	puts      int
	fail      error // of every PutBlob
}

func newMemTarget() *memTarget {
	return &memTarget{blobs: map[string][]byte{}, manifests: map[string][]byte{}, types: map[string]types.MediaType{}}
}

func (m *memTarget) HasBlob(_ context.Context, d v1.Descriptor) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.blobs[d.Digest.String()]
	return ok, nil
}

func (m *memTarget) PutBlob(_ context.Context, d v1.Descriptor, from BlobOpener) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	r, err := from(0)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if digestOf(b) != d.Digest.String() || int64(len(b)) != d.Size {
		return errors.New("not what its descriptor says")
	}
	m.puts++
	m.blobs[d.Digest.String()] = b
	return nil
}

func (m *memTarget) PutManifest(_ context.Context, identifier string, body []byte, t types.MediaType) error {
	m.manifests[identifier], m.types[identifier] = body, t
	return nil
}

func (m *memTarget) Close() error { return nil }

// storedImage is an image of one gzip, one zstd and one layer that came
// uncompressed, and its blobs.
func storedImage(t *testing.T, docker bool) (Stored, *blobs.Store) {
	t.Helper()
	kept, err := blobs.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	i := forHere(
		registrytest.RandomLayer(registrytest.Gzip, 1, 3<<20), registrytest.NewLayer(registrytest.Plain, file("plain")),
		registrytest.NewLayer(registrytest.Gzip, file("top")))
	if !docker {
		i.Layers = append(i.Layers, registrytest.NewLayer(registrytest.Zstd, file("zstd")))
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: map[string]string{"a": "b"}}
	m.Config = descriptor(types.OCIConfigJSON, digestOf(i.ConfigJSON()), int64(len(i.ConfigJSON())))
	kinds := map[registrytest.Compression]types.MediaType{
		registrytest.Gzip: types.OCILayer, registrytest.Plain: types.OCIUncompressedLayer, registrytest.Zstd: types.OCILayerZStd,
	}
	if docker {
		m.MediaType, m.Config.MediaType = types.DockerManifestSchema2, types.DockerConfigJSON
		kinds[registrytest.Gzip], kinds[registrytest.Plain] = types.DockerLayer, types.DockerUncompressedLayer
	}
	for _, l := range i.Layers {
		blob := l.Blob()
		put := kept.Put
		if l.Compression == registrytest.Plain {
			put = kept.PutTar
		}
		if err := put(digestOf(blob), -1, bytes.NewReader(blob)); err != nil {
			t.Fatal(err)
		}
		m.Layers = append(m.Layers, descriptor(kinds[l.Compression], digestOf(blob), int64(len(blob))))
	}
	body, err := json.MarshalIndent(m, "", "  ") // not as we would write it
	if err != nil {
		t.Fatal(err)
	}
	return Stored{Manifest: body, Config: i.ConfigJSON()}, kept
}

func TestPush(t *testing.T) {
	for name, c := range map[string]struct {
		docker bool
		o      PushOptions
		want   []types.MediaType
		kind   types.MediaType
	}{
		"as it is":               {o: PushOptions{AsItIs: true}, want: []types.MediaType{types.OCILayer, types.OCIUncompressedLayer, types.OCILayer, types.OCILayerZStd}, kind: types.OCIManifestSchema1},
		"what came uncompressed": {want: []types.MediaType{types.OCILayer, types.OCILayer, types.OCILayer, types.OCILayerZStd}, kind: types.OCIManifestSchema1},
		"Docker's":               {docker: true, want: []types.MediaType{types.DockerLayer, types.DockerLayer, types.DockerLayer}, kind: types.DockerManifestSchema2},
		"zstd for that":          {o: PushOptions{Compression: "zstd"}, want: []types.MediaType{types.OCILayer, types.OCILayerZStd, types.OCILayer, types.OCILayerZStd}, kind: types.OCIManifestSchema1},
		"zstd for all of Docker's": {
			docker: true, o: PushOptions{Compression: "zstd", Recompress: true, Level: 1},
			want: []types.MediaType{types.OCILayerZStd, types.OCILayerZStd, types.OCILayerZStd}, kind: types.OCIManifestSchema1,
		},
		"gzip for all": {o: PushOptions{Compression: "gzip", Recompress: true}, want: []types.MediaType{types.OCILayer, types.OCILayer, types.OCILayer, types.OCILayer}, kind: types.OCIManifestSchema1},
	} {
		t.Run(name, func(t *testing.T) {
			image, kept := storedImage(t, c.docker)
			to := newMemTarget()
			pushed, err := Push(t.Context(), image, kept, to, []string{"v1", "v2"}, c.o)
			if err != nil {
				t.Fatal(err)
			}
			body := to.manifests["v1"]
			m, err := parseManifest(body)
			if err != nil || pushed.Digest != digestOf(body) || pushed.Size != int64(len(body)) || !bytes.Equal(body, to.manifests["v2"]) {
				t.Fatalf("%+v, %v", pushed, err)
			}
			if to.types["v1"] != c.kind || m.MediaType != c.kind {
				t.Errorf("type %s, %s", to.types["v1"], m.MediaType)
			}
			if c.o.AsItIs != bytes.Equal(body, image.Manifest) {
				t.Errorf("the very bytes: %v", !c.o.AsItIs)
			}
			if !c.docker && m.Annotations["a"] != "b" {
				t.Error("its annotations are gone")
			}
			for i, l := range m.Layers {
				if l.MediaType != c.want[i] {
					t.Errorf("layer %d is %s, want %s", i, l.MediaType, c.want[i])
				}
			}
			// What the target has now is an image that can be pulled.
			store := newMemStore()
			if _, err := FromSource(t.Context(), memSource{to}, "v1", []string{"docker.io/library/x:1"}, Options{}, store); err != nil {
				t.Error(err)
			}

			// And a second push sends nothing.
			puts := to.puts
			again, err := Push(t.Context(), image, kept, to, []string{"v3"}, c.o)
			if err != nil || again.Digest != pushed.Digest || to.puts != puts {
				t.Errorf("again: %+v, %v, %d blobs sent", again, err, to.puts-puts)
			}
			for _, l := range again.Layers {
				if !l.Existed {
					t.Errorf("layer %s was sent again", l.Digest)
				}
			}
			if list, err := kept.List(); err != nil || len(list) != len(m.Layers) {
				t.Errorf("%d blobs kept, %v", len(list), err)
			}
		})
	}
}

// memSource reads what a memTarget has.
type memSource struct{ from *memTarget }

func (s memSource) Manifest(_ context.Context, identifier string) ([]byte, types.MediaType, error) {
	return s.from.manifests[identifier], s.from.types[identifier], nil
}

func (s memSource) Blob(_ context.Context, digest string, _, offset int64) (io.ReadCloser, error) {
	return openText(s.from.blobs[digest], offset), nil
}

func (s memSource) Close() error { return nil }

// TestPushIsTheSame has the same bytes come of a layer on one core and on many:
// what it was pushed as is remembered, and looked for elsewhere.
func TestPushIsTheSame(t *testing.T) {
	digests := map[string]bool{}
	for _, cores := range []int{1, 4} {
		t.Cleanup(func() func() { before := runtime.GOMAXPROCS(cores); return func() { runtime.GOMAXPROCS(before) } }())
		image, kept := storedImage(t, false)
		pushed, err := Push(t.Context(), image, kept, newMemTarget(), nil, PushOptions{Compression: "gzip", Recompress: true})
		if err != nil {
			t.Fatal(err)
		}
		digests[pushed.Digest] = true
	}
	if len(digests) != 1 {
		t.Errorf("%v", digests)
	}
}

func TestPushWithoutBlob(t *testing.T) {
	for name, o := range map[string]PushOptions{"as it is": {}, "compressed": {Compression: "zstd", Recompress: true}} {
		t.Run(name, func(t *testing.T) {
			image, kept := storedImage(t, false)
			m, err := parseManifest(image.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			gone := m.Layers[0].Digest.String()
			if err := kept.Remove(gone); err != nil {
				t.Fatal(err)
			}
			to := newMemTarget()
			_, err = Push(t.Context(), image, kept, to, []string{"v1"}, o)
			if !errors.Is(err, ErrNoBlob) || !strings.Contains(err.Error(), short(gone)) || len(to.manifests) != 0 {
				t.Fatalf("%v, %d manifests", err, len(to.manifests))
			}
		})
	}
	// Where the target has it, it is not needed.
	image, kept := storedImage(t, false)
	m, err := parseManifest(image.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	to := newMemTarget()
	to.blobs[m.Layers[0].Digest.String()] = nil
	if err := kept.Remove(m.Layers[0].Digest.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := Push(t.Context(), image, kept, to, []string{"v1"}, PushOptions{}); err != nil {
		t.Error(err)
	}
}

// TestPushTwice has an image with one layer twice: it is sent once.
func TestPushTwice(t *testing.T) {
	image, kept := storedImage(t, false)
	m, err := parseManifest(image.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m.Layers = append(m.Layers, m.Layers[1])
	if image.Manifest, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	to := newMemTarget()
	pushed, err := Push(t.Context(), image, kept, to, []string{"v1"}, PushOptions{})
	if err != nil || to.puts != 5 {
		t.Errorf("%d blobs sent, %v", to.puts, err)
	}
	if len(pushed.Layers) != 5 || pushed.Layers[4] != pushed.Layers[1] {
		t.Errorf("%+v", pushed.Layers)
	}
}

func TestPushFails(t *testing.T) {
	image, kept := storedImage(t, false)
	to := newMemTarget()
	to.fail = errors.New("on fire")
	if _, err := Push(t.Context(), image, kept, to, []string{"v1"}, PushOptions{}); !errors.Is(err, to.fail) || len(to.manifests) > 0 {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Push(ctx, image, kept, newMemTarget(), []string{"v1"}, PushOptions{Compression: "zstd", Recompress: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Push(t.Context(), image, kept, newMemTarget(), nil, PushOptions{Compression: "lzma"}); err == nil {
		t.Error("compressed with lzma")
	}
	image.Config = []byte(`{}`)
	if _, err := Push(t.Context(), image, kept, newMemTarget(), nil, PushOptions{}); !errors.Is(Explain("push", "x", err), DigestMismatch) {
		t.Errorf("another config: %v", err)
	}
	if list, err := kept.List(); err != nil || len(list) != 4 {
		t.Errorf("%d blobs kept, %v", len(list), err)
	}
}

// TestPushToRegistry is a round trip over the wire.
func TestPushToRegistry(t *testing.T) {
	r := registrytest.New(t)
	image, kept := storedImage(t, false)
	client := mustDial(t, r.Host, "some/image")
	pushed, err := Push(t.Context(), image, kept, client, []string{"v1"}, PushOptions{AsItIs: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := mustPull(t, r.Host+"/some/image:v1", quick(), newMemStore()); got.Digest != pushed.Digest || got.Digest != digestOf(image.Manifest) {
		t.Errorf("pushed %s, pulled %s", pushed.Digest, got.Digest)
	}
}

func mustDial(t *testing.T, host, repository string) *registry.Client {
	t.Helper()
	client, err := registry.Dial(t.Context(), registry.Config{Host: host, Repository: repository, Push: true, RetryDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
