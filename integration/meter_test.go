package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// meter is a registry that counts the bytes of each blob that it sends, and can
// be told where to hold one back.
type meter struct {
	*fakeRegistry
	front *httptest.Server

	mu       sync.Mutex
	sent     map[string]int64 // by digest: bytes
	opened   map[string]int   // by digest: answers that began
	holdAt   map[string]int64 // by digest: how many bytes to send before it waits
	active   int              // answers that are under way
	released chan struct{}
}

func newMeter(t *testing.T) *meter {
	t.Helper()
	m := &meter{fakeRegistry: newFakeRegistry(), released: make(chan struct{})}
	m.reset()
	m.front = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(func() {
		m.release()
		m.front.CloseClientConnections()
		m.front.Close()
		m.server.Close()
	})
	return m
}

// host is where the metered registry is; address, of the one behind it, is for
// what is put there.
func (m *meter) host() string { return strings.TrimPrefix(m.front.URL, "http://") }

// reset counts from nothing, and holds nothing.
func (m *meter) reset() {
	m.release()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent, m.opened, m.holdAt = map[string]int64{}, map[string]int{}, map[string]int64{}
	m.released = make(chan struct{})
}

// hold has all answers with this blob stop after so many of its bytes.
func (m *meter) hold(digest string, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holdAt[digest] = at
}

// release lets go what is held, and holds nothing any more.
func (m *meter) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holdAt = nil
	select {
	case <-m.released:
	default:
		close(m.released)
	}
}

// count says how much of a blob was sent, and in how many answers.
func (m *meter) count(digest string) (bytes int64, answers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent[digest], m.opened[digest]
}

// abandoned waits until the answers that are held know that nobody listens any
// more, and then holds nothing: what is sent to nobody does not count.
func (m *meter) abandoned(t *testing.T) {
	t.Helper()
	until(t, "no answer is under way", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.active == 0
	})
	m.release()
}

// answering counts an answer that begins, or that has ended.
func (m *meter) answering(digest string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active += n
	if n > 0 {
		m.opened[digest]++
	}
}

func (m *meter) serve(w http.ResponseWriter, r *http.Request) {
	_, digest, isBlob := strings.Cut(r.URL.Path, "/blobs/")
	if !isBlob || r.Method != http.MethodGet {
		m.fakeRegistry.ServeHTTP(w, r)
		return
	}
	var from int64
	_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	m.answering(digest, 1)
	defer m.answering("", -1)
	m.fakeRegistry.ServeHTTP(&metered{ResponseWriter: w, m: m, r: r, digest: digest, at: from}, r)
}

// metered is one answer with a blob.
type metered struct {
	http.ResponseWriter
	m      *meter
	r      *http.Request
	digest string
	at     int64 // offset in the blob
}

// Write implements http.ResponseWriter, piece by piece.
func (w *metered) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(64<<10, len(b)-done)
		if at, held := w.held(); held {
			n = min(n, int(at-w.at))
			if n <= 0 {
				if err := w.wait(); err != nil {
					return done, err
				}
				continue
			}
		}
		n, err := w.ResponseWriter.Write(b[done : done+n])
		done += n
		w.at += int64(n)
		w.m.mu.Lock()
		w.m.sent[w.digest] += int64(n)
		w.m.mu.Unlock()
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (w *metered) held() (int64, bool) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	at, held := w.m.holdAt[w.digest]
	return at, held
}

// wait sends what there is, and waits until it may go on.
func (w *metered) wait() error {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.m.mu.Lock()
	released := w.m.released
	w.m.mu.Unlock()
	select {
	case <-released:
		return nil
	case <-w.r.Context().Done():
		return w.r.Context().Err()
	}
}

// noisy is an image of busybox and of layers that do not compress, of so many
// bytes each. The digests of those follow it.
func noisy(seed uint64, sizes ...int) (v1.Image, []string, error) {
	base, err := busybox()
	if err != nil {
		return nil, nil, err
	}
	return noisyOver(base, seed, sizes)
}

func noisyOver(base v1.Image, seed uint64, sizes []int) (v1.Image, []string, error) {
	config, err := base.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	var layers []v1.Layer
	var digests []string
	for i, size := range sizes {
		l, err := noise(seed+uint64(i), size)
		if err != nil {
			return nil, nil, err
		}
		d, err := l.Digest()
		if err != nil {
			return nil, nil, err
		}
		layers, digests = append(layers, l), append(digests, d.String())
	}
	image, err := build(base, config.Config, "amd64", layers...)
	return image, digests, err
}

// noise is a layer with one file of random bytes, the same for the same seed.
func noise(seed uint64, size int) (v1.Layer, error) {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(body)
	return gzipLayer(file(fmt.Sprintf("noise-%d", seed), 0o644, string(body)))
}

// put stores an image under a repository's :latest; it returns how rootlet calls
// it.
func (m *meter) put(t *testing.T, repository string, image v1.Image) string {
	t.Helper()
	ref, err := m.reference(repository)
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.host() + "/" + repository
}
