package registrytest

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Registry serves over plain http, or TLS, on loopback until its test ends.
type Registry struct {
	Host   string // 127.0.0.1:PORT
	Server *httptest.Server

	t     testing.TB
	inner http.Handler

	mu       sync.Mutex
	faults   []*Fault
	handlers []handler
	requests []*http.Request
	gate     func(http.ResponseWriter, *http.Request) bool // false where it has answered
	blobsAt  string
	tokens   int // how many were forgotten
}

// New starts a registry.
func New(t testing.TB) *Registry {
	t.Helper()
	r := unstarted(t)
	r.Server = httptest.NewServer(r)
	return r.started()
}

// NewAt starts a registry at another address of this host, as 127.0.0.2, which
// is another host to its clients.
func NewAt(t testing.TB, address string) *Registry {
	t.Helper()
	r := unstarted(t)
	r.Server = httptest.NewUnstartedServer(r)
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Server.Listener.Close()
	r.Server.Listener = listener
	r.Server.Start()
	return r.started()
}

// NewTLS starts a registry whose certificate nobody trusts.
func NewTLS(t testing.TB) *Registry {
	t.Helper()
	r := unstarted(t)
	r.Server = httptest.NewUnstartedServer(r)
	r.Server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what the test wants
	r.Server.StartTLS()
	return r.started()
}

func unstarted(t testing.TB) *Registry {
	return &Registry{t: t, inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
}

func (r *Registry) started() *Registry {
	r.Host = r.Server.Listener.Addr().String()
	r.t.Cleanup(func() {
		r.Clear() // lets stalled answers go, which Close waits for
		r.Server.CloseClientConnections()
		r.Server.Close()
	})
	return r
}

// Push stores an image under repository:tag and returns its manifest's digest.
func (r *Registry) Push(name string, i Image) string {
	r.t.Helper()
	d := r.pushImage(name, i)
	return d.Digest.String()
}

// PushIndex stores images as one name for several platforms and returns the
// index's digest.
func (r *Registry) PushIndex(name string, images ...Image) string {
	r.t.Helper()
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	repository, tag := split(name)
	for _, i := range images {
		d := r.pushImage(repository+":part-of-"+tag, i)
		d.Platform = i.platform()
		index.Manifests = append(index.Manifests, d)
	}
	body, err := json.Marshal(index)
	must(err)
	return r.PushManifest(name, string(types.OCIImageIndex), body)
}

// PushManifest stores any document as a manifest and returns its digest.
func (r *Registry) PushManifest(name, mediaType string, body []byte) string {
	r.t.Helper()
	repository, tag := split(name)
	r.do(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, mediaType, body)
	return Digest(body)
}

// PushBlob stores a blob and returns its digest.
func (r *Registry) PushBlob(repository string, body []byte) string {
	r.t.Helper()
	digest := Digest(body)
	r.do(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest, "application/octet-stream", body)
	return digest
}

func (r *Registry) pushImage(name string, i Image) v1.Descriptor {
	r.t.Helper()
	repository, _ := split(name)
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	configType := types.OCIConfigJSON
	if i.Docker {
		m.MediaType, configType = types.DockerManifestSchema2, types.DockerConfigJSON
	}
	m.Config = r.pushed(repository, configType, i.ConfigJSON())
	for _, l := range i.Layers {
		m.Layers = append(m.Layers, r.pushed(repository, l.mediaType(i.Docker), l.Blob()))
	}
	if i.Edit != nil {
		i.Edit(&m)
	}
	body, err := json.Marshal(m)
	must(err)
	digest, err := v1.NewHash(r.PushManifest(name, string(m.MediaType), body))
	must(err)
	return v1.Descriptor{MediaType: m.MediaType, Size: int64(len(body)), Digest: digest}
}

func (r *Registry) pushed(repository string, t types.MediaType, body []byte) v1.Descriptor {
	r.t.Helper()
	digest, err := v1.NewHash(r.PushBlob(repository, body))
	must(err)
	return v1.Descriptor{MediaType: t, Size: int64(len(body)), Digest: digest}
}

// do goes straight to the handler: no faults, no log.
func (r *Registry) do(method, path, contentType string, body []byte) {
	r.t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	answer := httptest.NewRecorder()
	r.inner.ServeHTTP(answer, req)
	if answer.Code >= 300 {
		r.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
}

// Requests lists what was asked since the start, handshakes included.
func (r *Registry) Requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request{}, r.requests...)
}

// Count says how many requests had part in their path.
func (r *Registry) Count(part string) int {
	n := 0
	for _, req := range r.Requests() {
		if strings.Contains(req.URL.Path, part) {
			n++
		}
	}
	return n
}

func split(name string) (repository, tag string) {
	repository, tag, ok := strings.Cut(name, ":")
	if !ok {
		tag = "latest"
	}
	return repository, tag
}
