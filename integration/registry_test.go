package integration

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// fakeRegistry is go-containerregistry's, which counts what is fetched and
// misbehaves when it is told to. Only one script talks to it.
type fakeRegistry struct {
	server *httptest.Server
	inner  http.Handler

	mu     sync.Mutex
	blobs  map[string]int    // repository: blobs fetched
	faults map[string]string // repository: what goes wrong
}

// startRegistry is the command `registry IMAGE...`: a registry that has these
// images under :latest; $REG is its address.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	r := newFakeRegistry()
	of(ts).registry = r
	ts.Setenv("REG", r.address())
	for _, image := range args {
		ts.Check(r.push(image, image))
	}
}

func newFakeRegistry() *fakeRegistry {
	r := &fakeRegistry{
		inner:  registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		blobs:  map[string]int{},
		faults: map[string]string{},
	}
	r.server = httptest.NewServer(r)
	return r
}

func (r *fakeRegistry) address() string { return strings.TrimPrefix(r.server.URL, "http://") }

// push puts one of the images under a repository's :latest.
func (r *fakeRegistry) push(image, repository string) error {
	build, known := images[image]
	if !known {
		build, known = hostileImages[image]
	}
	if !known {
		return fmt.Errorf("no image %s", image)
	}
	content, err := build()
	if err != nil {
		return err
	}
	ref, err := r.reference(repository)
	if err != nil {
		return err
	}
	return remote.Push(ref, content)
}

func (r *fakeRegistry) reference(repository string) (name.Reference, error) {
	return name.ParseReference(r.address()+"/"+repository, name.Insecure)
}

var blobPath = regexp.MustCompile(`^/v2/(.*)/blobs/sha256:`)

func (r *fakeRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	repository, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/v2/"), "/")
	r.mu.Lock()
	what := r.faults[repository]
	isBlob := request.Method == http.MethodGet && blobPath.MatchString(request.URL.Path)
	if isBlob {
		r.blobs[repository]++
	}
	r.mu.Unlock()
	switch {
	case what == "unauthorised":
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
	case what == "webpage":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>hotel wifi</html>")
	case what == "redirects":
		http.Redirect(w, request, request.URL.Path, http.StatusTemporaryRedirect)
	case what == "limited", what == "busy":
		w.Header().Set("Retry-After", map[string]string{"limited": "7200", "busy": "60"}[what])
		http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}`, http.StatusTooManyRequests)
	case isBlob && (what == "corrupt" || what == "truncate"):
		r.damage(w, request, what)
	default:
		r.inner.ServeHTTP(w, request)
	}
}

// damage serves a blob with its last byte changed, or only its first half
// although its whole length was announced.
func (r *fakeRegistry) damage(w http.ResponseWriter, request *http.Request, how string) {
	whole := httptest.NewRecorder()
	plain := request.Clone(request.Context())
	plain.Header.Del("Range")
	r.inner.ServeHTTP(whole, plain)
	body := whole.Body.Bytes()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if how == "truncate" {
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	body[len(body)-1] ^= 1
	_, _ = w.Write(body)
}

// stopRegistry is `registrygone`: from now on nobody listens at $REG.
func stopRegistry(ts *testscript.TestScript, neg bool, args []string) {
	of(ts).registry.server.Close()
}

// retag is `retag FROM TO`: TO:latest becomes what FROM:latest is.
func retag(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(of(ts).registry.push(args[0], args[1]))
}

// digest is `digest REPOSITORY`: $DIGEST becomes that of its latest manifest.
func digest(ts *testscript.TestScript, neg bool, args []string) {
	ref, err := of(ts).registry.reference(args[0])
	ts.Check(err)
	descriptor, err := remote.Head(ref)
	ts.Check(err)
	ts.Setenv("DIGEST", descriptor.Digest.String())
}

// fetched is `fetched REPOSITORY N`: so many blobs since it was last asked.
func fetched(ts *testscript.TestScript, neg bool, args []string) {
	r := of(ts).registry
	r.mu.Lock()
	got := r.blobs[args[0]]
	r.blobs[args[0]] = 0
	r.mu.Unlock()
	if want, err := strconv.Atoi(args[1]); err != nil || got != want {
		ts.Fatalf("%d blobs of %s were fetched, want %s", got, args[0], args[1])
	}
}

// fault is `fault WHAT REPOSITORY`: unauthorised, corrupt, truncate, webpage,
// redirects, limited (for two hours), busy (for a minute) or none.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	r := of(ts).registry
	r.mu.Lock()
	r.faults[args[1]] = args[0]
	r.mu.Unlock()
}
