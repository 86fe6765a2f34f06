package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// uploads is the pushing half of a registry, which can go wrong.
type uploads struct {
	mu        sync.Mutex
	blobs     map[string]string // by digest
	elsewhere map[string]string // repository: digest that can be mounted from it
	parts     map[string]string // by upload
	requests  []string

	absolute bool  // Location with scheme and host
	breakAt  int   // a PATCH or PUT is cut after so many bytes, once
	forgets  bool  // what came before the cut is lost, and the upload with it
	keeps    int   // of what came before the cut, so many bytes are kept; 0 all
	refuse   []int // statuses to answer bodies with, one after another
	stall    bool  // reads nothing of the next body
	released chan struct{}
}

func newUploads() *uploads {
	return &uploads{blobs: map[string]string{}, elsewhere: map[string]string{}, parts: map[string]string{}, released: make(chan struct{})}
}

func (u *uploads) serve(h *host) func(http.ResponseWriter, *http.Request) {
	const prefix = "/v2/some/image/blobs/"
	return func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.requests = append(u.requests, r.Method)
		rest := strings.TrimPrefix(r.URL.Path, prefix)
		id := r.URL.Query().Get("state")
		location := func() {
			at := prefix + "uploads/here?state=" + id + "&sig=a%2Fb"
			if u.absolute {
				at = h.URL + at
			}
			w.Header().Set("Location", at)
			w.Header().Set("Range", fmt.Sprintf("0-%d", max(len(u.parts[id])-1, 0)))
		}
		switch {
		case r.URL.Path == "/v2/":
		case r.Method == http.MethodHead:
			blob, ok := u.blobs[rest]
			if !ok {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(blob)))
		case r.Method == http.MethodPost && u.elsewhere[r.URL.Query().Get("from")] == r.URL.Query().Get("mount") && r.URL.Query().Get("mount") != "":
			u.blobs[r.URL.Query().Get("mount")] = ""
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodPost:
			id = fmt.Sprint(len(u.requests))
			u.parts[id] = ""
			location()
			w.WriteHeader(http.StatusAccepted)
		case r.URL.Query().Get("sig") != "a/b":
			w.WriteHeader(http.StatusForbidden)
		default:
			part, known := u.parts[id]
			if !known {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			u.body(w, r, id, part, location)
		}
	}
}

// body is what an upload that is known is asked.
func (u *uploads) body(w http.ResponseWriter, r *http.Request, id, part string, location func()) {
	switch {
	case r.Method == http.MethodGet:
		location()
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method == http.MethodDelete:
		delete(u.parts, id)
		w.WriteHeader(http.StatusNoContent)
		return
	case len(u.refuse) > 0:
		status := u.refuse[0]
		u.refuse = u.refuse[1:]
		w.WriteHeader(status)
		return
	case u.stall:
		u.stall = false
		u.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-u.released:
		}
		u.mu.Lock()
		panic(http.ErrAbortHandler)
	}
	if ranged := r.Header.Get("Content-Range"); ranged != "" && !strings.HasPrefix(ranged, fmt.Sprintf("%d-", len(part))) {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	if u.breakAt > 0 && r.ContentLength > int64(u.breakAt) {
		came := make([]byte, u.breakAt)
		_, _ = io.ReadFull(r.Body, came)
		u.breakAt = 0
		u.parts[id] = part + string(came)
		if u.keeps > 0 {
			u.parts[id] = part + string(came[:u.keeps])
		}
		if u.forgets {
			delete(u.parts, id)
		}
		panic(http.ErrAbortHandler)
	}
	came, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	u.parts[id] = part + string(came)
	if r.Method == http.MethodPatch {
		location()
		w.WriteHeader(http.StatusAccepted)
		return
	}
	digest := r.URL.Query().Get("digest")
	if digestOf([]byte(u.parts[id])) != digest {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}`)
		return
	}
	u.blobs[digest] = u.parts[id]
	w.WriteHeader(http.StatusCreated)
}

// noise is n bytes that nobody guesses.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

func opener(text string) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text[offset:])), nil }
}

func dialUploads(t *testing.T, u *uploads, edit func(*Config)) *Client {
	t.Helper()
	h := newHost(t, "127.0.0.1:0")
	h.serve, h.deaf = u.serve(h), true
	t.Cleanup(func() { close(u.released) })
	config := Config{
		Host: h.Listener.Addr().String(), Repository: "some/image", Push: true,
		HeaderTimeout: time.Second, Silence: 300 * time.Millisecond, RetryDelay: time.Millisecond,
	}
	if edit != nil {
		edit(&config)
	}
	client, err := Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestPutBlob(t *testing.T) {
	small, big := noise(100), noise(5<<20)
	cases := []struct {
		name  string
		setup func(*uploads)
		blob  string
		posts int // how often an upload was begun
		sent  int // bytes at most, of bodies
	}{
		{"small", func(u *uploads) {}, small, 1, 0},
		{"empty", func(u *uploads) {}, "", 1, 0},
		{"big", func(u *uploads) {}, big, 1, 0},
		{"absolute location", func(u *uploads) { u.absolute = true }, big, 1, 0},
		{"cut in the middle", func(u *uploads) { u.breakAt = 2 << 20 }, big, 1, 0},
		{"cut, and a part of it lost", func(u *uploads) { u.breakAt, u.keeps = 2<<20, 1<<20 }, big, 1, 0},
		{"cut and forgotten", func(u *uploads) { u.breakAt, u.forgets = 2<<20, true }, big, 2, 0},
		{"small, cut", func(u *uploads) { u.breakAt = 50 }, small, 1, 0},
		{"500 twice", func(u *uploads) { u.refuse = []int{500, 503} }, big, 1, 0},
		{"401 once", func(u *uploads) { u.refuse = []int{401} }, big, 1, 0},
		{"taken by nobody for long", func(u *uploads) { u.stall = true }, noise(30 << 20), 1, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := newUploads()
			c.setup(u)
			client := dialUploads(t, u, nil)
			d := descriptorOf(c.blob)
			if there, err := client.HasBlob(t.Context(), d); there || err != nil {
				t.Fatal(there, err)
			}
			if err := client.PutBlob(t.Context(), d, opener(c.blob)); err != nil {
				t.Fatal(err)
			}
			if there, err := client.HasBlob(t.Context(), d); !there || err != nil || u.blobs[d.Digest.String()] != c.blob {
				t.Error(there, err)
			}
			posts := 0
			for _, method := range u.requests {
				if method == http.MethodPost {
					posts++
				}
			}
			if posts != c.posts {
				t.Errorf("begun %d times: %q", posts, u.requests)
			}
		})
	}
}

func TestPutBlobFails(t *testing.T) {
	big := noise(3 << 20)
	broken := errors.New("disk on fire")
	cases := []struct {
		name  string
		setup func(*uploads)
		open  func(int64) (io.ReadCloser, error)
		want  string
		most  int // requests
	}{
		{"refused", func(u *uploads) { u.refuse = []int{403} }, opener(big), "403 Forbidden", 4},
		{"refused with 401 for ever", func(u *uploads) { u.refuse = slices.Repeat([]int{401}, 20) }, opener(big), "401", 8},
		{"500 for ever", func(u *uploads) { u.refuse = slices.Repeat([]int{500}, 100) }, opener(big), "500", 30},
		{"another content", func(*uploads) {}, opener(noise(3<<20 - 1)[1:] + "xx"), "did not match", 5},
		{"cannot be opened", func(*uploads) {}, func(int64) (io.ReadCloser, error) { return nil, broken }, broken.Error(), 3},
		{"cannot be read", func(*uploads) {}, func(int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(big[:2<<20]), &failingReader{broken})), nil
		}, broken.Error(), 4},
		{"damaged, as its end says", func(*uploads) {}, func(int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(big), &failingReader{broken})), nil
		}, broken.Error(), 4},
		{"longer than it should be", func(*uploads) {}, opener(big + "x"), "longer", 4},
		{"shorter than it should be", func(*uploads) {}, opener(big[1:]), "unexpected EOF", 4},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := newUploads()
			c.setup(u)
			client := dialUploads(t, u, nil)
			err := client.PutBlob(t.Context(), descriptorOf(big), c.open)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			if len(u.blobs)+len(u.parts) != 0 {
				t.Errorf("the registry has it, or %d uploads", len(u.parts))
			}
			if len(u.requests) > c.most+3 {
				t.Errorf("%d requests: %q", len(u.requests), u.requests)
			}
		})
	}
}

// Who breaks off a push leaves nothing of it there.
func TestPutBlobIsBrokenOff(t *testing.T) {
	u := newUploads()
	client := dialUploads(t, u, nil)
	ctx, cancel := context.WithCancel(t.Context())
	big := noise(3 << 20)
	err := client.PutBlob(ctx, descriptorOf(big), func(int64) (io.ReadCloser, error) {
		cancel()
		return opener(big)(0)
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	if !errors.Is(err, context.Canceled) || len(u.parts) != 0 || !slices.Contains(u.requests, http.MethodDelete) {
		t.Errorf("%v, %d uploads, %q", err, len(u.parts), u.requests)
	}
}

type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestMount(t *testing.T) {
	blob := noise(2 << 20)
	d := descriptorOf(blob)
	cases := []struct {
		name      string
		elsewhere map[string]string
		from      []string
		want      string
	}{
		{"there", map[string]string{"b/c": d.Digest.String()}, []string{"b/c"}, "b/c"},
		{"in the second", map[string]string{"b/c": d.Digest.String()}, []string{"a", "b/c"}, "b/c"},
		{"in none", nil, []string{"a", "b/c"}, ""},
		{"itself is no candidate", map[string]string{"some/image": d.Digest.String()}, []string{"some/image"}, ""},
		{"no candidates", nil, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := newUploads()
			u.elsewhere = c.elsewhere
			client := dialUploads(t, u, func(config *Config) { config.MountFrom = func(string) []string { return c.from } })
			from, err := client.PutOrMount(t.Context(), d, opener(blob))
			if err != nil || from != c.want {
				t.Errorf("from %q, %v", from, err)
			}
			if got := u.blobs[d.Digest.String()]; c.want == "" && got != blob {
				t.Error("it was not sent")
			}
			if c.want != "" && slices.Contains(u.requests, http.MethodPatch) {
				t.Error("it was sent")
			}
		})
	}
}

// TestPutMany sends blobs side by side over one client.
func TestPutMany(t *testing.T) {
	u := newUploads()
	client := dialUploads(t, u, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			blob := fmt.Sprint(i) + noise(1<<20+i)
			if err := client.PutBlob(t.Context(), descriptorOf(blob), opener(blob)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(u.blobs) != 8 {
		t.Errorf("%d blobs", len(u.blobs))
	}
}

func TestPutManifest(t *testing.T) {
	body := []byte(`{"schemaVersion":2}`)
	h := newHost(t, "127.0.0.1:0")
	tries := 0
	says := digestOf(body)
	h.serve = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		got, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPut || string(got) != string(body) || r.Header.Get("Content-Type") != "application/x" {
			t.Errorf("%s %q %v", r.Method, got, r.Header)
		}
		w.Header().Set("Docker-Content-Digest", says)
		w.WriteHeader(http.StatusCreated)
	}
	client, err := Dial(t.Context(), Config{Host: h.Listener.Addr().String(), Repository: "a", Push: true, RetryDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.PutManifest(t.Context(), "v1", body, "application/x"); err != nil || tries != 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
	says = digestOf([]byte("else"))
	if err := client.PutManifest(t.Context(), "v1", body, "application/x"); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("it has another image: %v", err)
	}
}
