package pull

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registrytest"
)

// quick makes retries and silences short enough for tests.
func quick() Options {
	return Options{HeaderTimeout: 300 * time.Millisecond, Silence: 200 * time.Millisecond, RetryDelay: time.Millisecond}
}

// threeLayers has one layer that takes several chunks.
func threeLayers() registrytest.Image {
	return forHere(
		registrytest.NewLayer(registrytest.Gzip, file("bottom")),
		registrytest.RandomLayer(registrytest.Gzip, 1, 2<<20),
		registrytest.NewLayer(registrytest.Zstd, file("top")))
}

// mustFail pulls host/REPOSITORY:TAG, and checks the error and that the store
// is as it was.
func mustFail(t *testing.T, name string, o Options, kind Kind, words ...string) *Error {
	t.Helper()
	store := newMemStore()
	before := time.Now()
	_, err := Image(context.Background(), mustParse(t, name), o, store)
	var typed *Error
	if !errors.As(err, &typed) || !errors.Is(err, kind) {
		t.Fatalf("error %v, want one of kind %q", err, kind)
	}
	for _, word := range append(words, "pull ", typed.Name) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not name %q", err, word)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > maxMessage+100 {
		t.Errorf("no line for a terminal: %q", err)
	}
	if took := time.Since(before); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if err := store.unlike(0, 0); err != nil {
		t.Error(err)
	}
	return typed
}

// TestFaults serves a good image badly.
func TestFaults(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	config := registrytest.Digest(image.ConfigJSON())
	cases := []struct {
		name  string
		fault registrytest.Fault
		kind  Kind
		words []string
	}{
		{"truncated for ever", registrytest.Fault{Path: big, Truncate: 300_000, NoRange: true}, Truncated, []string{short(big)}},
		{"truncated, length unknown", registrytest.Fault{Path: big, Truncate: 300_000, WithTruth: true, Chunked: true, NoRange: true}, Truncated, []string{short(big)}},
		{"shorter than the manifest says", registrytest.Fault{Path: big, Truncate: 300_000, WithTruth: true}, DigestMismatch, []string{short(big), "size"}},
		{"corrupt layer", registrytest.Fault{Path: big, Corrupt: true}, DigestMismatch, []string{short(big)}},
		{"corrupt config", registrytest.Fault{Path: config, Corrupt: true}, DigestMismatch, []string{short(config)}},
		{"one byte more", registrytest.Fault{Path: big, Extra: 1}, DigestMismatch, []string{short(big)}},
		{"one byte more, length unknown", registrytest.Fault{Path: big, Extra: 1, Chunked: true}, DigestMismatch, []string{short(big)}},
		{"silent before the headers", registrytest.Fault{Path: big, StallAt: -1}, Unreachable, nil},
		{"silent in the middle", registrytest.Fault{Path: big, StallAt: 100_000, NoRange: true}, Truncated, []string{short(big)}},
		{"silent in the manifest", registrytest.Fault{Path: "manifests/", StallAt: 10}, Unreachable, nil},
		{"silent at the handshake", registrytest.Fault{Path: "/v2/", StallAt: -1}, Unreachable, nil},
		{"manifest is a web page", registrytest.Fault{Path: "manifests/", Body: []byte("<html>hotel wifi</html>")}, Other, []string{"manifest"}},
		{"manifest of 5 MiB", registrytest.Fault{Path: "manifests/", Body: make([]byte, 5<<20)}, TooLarge, nil},
		{"500 for ever", registrytest.Fault{Path: big, Status: 500}, Other, []string{"500"}},
		{"blob is gone", registrytest.Fault{Path: big, Status: 404}, NotFound, nil},
		{"401", registrytest.Fault{Path: "manifests/", Status: 401}, Unauthorized, []string{"denied", "127.0.0.1"}},
		{"403", registrytest.Fault{Path: big, Status: 403}, Unauthorized, []string{"denied"}},
		{"401 at the handshake", registrytest.Fault{Path: "/v2/", Status: 401, Header: http.Header{"Www-Authenticate": {`Basic realm="x"`}}}, Unauthorized, []string{"denied"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Push("some/image", image)
			r.Add(c.fault)
			mustFail(t, r.Host+"/some/image", quick(), c.kind, c.words...)
		})
	}
}

// TestFaultsThatPass serves an image badly at first.
func TestFaultsThatPass(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	cases := map[string]registrytest.Fault{
		"500 twice":                 {Path: big, Status: 500, Times: 2},
		"429 with Retry-After":      {Path: "manifests/", Status: 429, Times: 1, Header: http.Header{"Retry-After": {"0"}}},
		"cut once, ranges known":    {Path: big, Truncate: 300_000, Times: 1},
		"cut twice, no ranges":      {Path: big, Truncate: 300_000, Times: 2, NoRange: true},
		"silent once in the middle": {Path: big, StallAt: 500_000, Times: 1},
		"no length":                 {Path: big, Chunked: true},
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Push("some/image", image)
			r.Add(fault)
			store := newMemStore()
			if _, err := Image(context.Background(), mustParse(t, r.Host+"/some/image"), quick(), store); err != nil {
				t.Fatal(err)
			}
			if err := store.unlike(3, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLies pushes manifests that do not tell the truth.
func TestLies(t *testing.T) {
	gz := registrytest.NewLayer(registrytest.Gzip, file("a"))
	as := func(l registrytest.Layer, t types.MediaType) registrytest.Layer { l.MediaType = t; return l }
	trailing := gz
	trailing.Tar = append(append([]byte{}, gz.Tar...), make([]byte, 100_000)...)
	edited := func(edit func(*v1.Manifest)) registrytest.Image { i := forHere(gz, gz); i.Edit = edit; return i }
	otherArch := forHere(gz)
	otherArch.Architecture = "s390x"
	wrongDiffID := forHere(gz, trailing)
	wrongDiffID.DiffIDs = []string{gz.DiffID(), gz.DiffID()}
	uppercase := forHere(gz)
	uppercase.DiffIDs = []string{strings.ToUpper(gz.DiffID())}
	dots := forHere(gz)
	dots.DiffIDs = []string{"sha256:../../../../etc/passwd"}
	fewer := forHere(gz, gz)
	fewer.DiffIDs = []string{gz.DiffID()}
	cases := []struct {
		name  string
		image registrytest.Image
		kind  Kind
		word  string
	}{
		{"another architecture", otherArch, NoPlatform, "s390x"},
		{"wrong DiffID", wrongDiffID, DigestMismatch, "DiffID"},
		{"upper case DiffID", uppercase, Other, "DiffID"},
		{"a path as DiffID", dots, Other, "DiffID"},
		{"fewer DiffIDs than layers", fewer, DigestMismatch, "1 DiffIDs for 2 layers"},
		{"gzip called zstd", forHere(as(gz, types.OCILayerZStd)), DigestMismatch, "is gzip by its content and zstd"},
		{"gzip called tar", forHere(as(gz, types.OCIUncompressedLayer)), DigestMismatch, "is gzip by its content and tar"},
		{"tar called gzip", forHere(as(registrytest.NewLayer(registrytest.Plain, file("a")), types.OCILayer)), DigestMismatch, "is tar by its content and gzip"},
		{"unknown layer type", forHere(as(gz, "application/x-7z")), Unsupported, "x-7z"},
		{"size too small", edited(func(m *v1.Manifest) { m.Layers[1].Size-- }), DigestMismatch, "size"},
		{"size too large", edited(func(m *v1.Manifest) { m.Layers[1].Size++ }), DigestMismatch, "size"},
		{"negative size", edited(func(m *v1.Manifest) { m.Layers[1].Size = -1 }), Other, "size -1"},
		{"an artifact", edited(func(m *v1.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" }), Unsupported, "artifact"},
		{"501 layers", edited(func(m *v1.Manifest) {
			for len(m.Layers) < 501 {
				m.Layers = append(m.Layers, m.Layers[0])
			}
		}), TooLarge, "501 layers"},
		{"config of 5 MiB", edited(func(m *v1.Manifest) { m.Config.Size = 5 << 20 }), TooLarge, "config"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Push("some/image", c.image)
			mustFail(t, r.Host+"/some/image", quick(), c.kind, c.word)
		})
	}
}

// TestDocuments pushes manifests that no tool would make.
func TestDocuments(t *testing.T) {
	zeros := "sha256:" + strings.Repeat("0", 64)
	cases := []struct {
		name, mediaType, body string
		kind                  Kind
		word                  string
	}{
		{"schema 1", string(types.DockerManifestSchema1), `{"schemaVersion":1,"fsLayers":[],"history":[]}`, Unsupported, "schema 1"},
		{"manifest and index at once", string(types.OCIManifestSchema1), `{"schemaVersion":2,"manifests":[],"layers":[]}`, Unsupported, "CVE-2021-41190"},
		{"index called manifest", string(types.OCIManifestSchema1), `{"schemaVersion":2,"manifests":[]}`, Unsupported, "says it is"},
		{"a path as digest", string(types.OCIManifestSchema1), `{"schemaVersion":2,"config":{"mediaType":"` + string(types.OCIConfigJSON) + `","size":1,"digest":"sha256:../../x"},"layers":[]}`, Other, "manifest"},
		{"sha512", string(types.OCIManifestSchema1), `{"schemaVersion":2,"config":{"mediaType":"` + string(types.OCIConfigJSON) + `","size":1,"digest":"sha512:` + strings.Repeat("0", 128) + `"},"layers":[]}`, Other, "sha256"},
		{"platforms for the terminal", string(types.OCIImageIndex), `{"schemaVersion":2,"manifests":[{"platform":{"os":"\u001b[31m\n","architecture":"` + strings.Repeat("a", 5000) + `"}},{}]}`, NoPlatform, "?[31m"},
		{"empty index", string(types.OCIImageIndex), `{"schemaVersion":2,"manifests":[]}`, NoPlatform, "none"},
		{"no JSON", string(types.OCIImageIndex), `[`, Other, "manifest"},
		{"nothing", string(types.OCIManifestSchema1), `{}`, Unsupported, "schema version 0"},
		{"index to nowhere", string(types.OCIImageIndex), `{"schemaVersion":2,"manifests":[{"mediaType":"` + string(types.OCIManifestSchema1) + `","size":2,"digest":"` + zeros + `"}]}`, NotFound, "no such image"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Add(registrytest.Fault{Path: "manifests/latest", Status: 200, Header: http.Header{"Content-Type": {c.mediaType}}, Body: []byte(c.body)})
			mustFail(t, r.Host+"/some/image", quick(), c.kind, c.word)
		})
	}
}

func TestNestedIndex(t *testing.T) {
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}`
	r := registrytest.New(t)
	inner := fmt.Sprintf(index, "")
	digest := r.PushManifest("some/image:inner", string(types.OCIImageIndex), []byte(inner))
	entry := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.index.v1+json","size":%d,"digest":%q}`, len(inner), digest)
	r.PushManifest("some/image:outer", string(types.OCIImageIndex), fmt.Appendf(nil, index, entry))
	mustFail(t, r.Host+"/some/image:outer", quick(), Unsupported, "index within an index")
}

func TestUnknownName(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image:v1", forHere())
	mustFail(t, r.Host+"/some/other", quick(), NotFound, r.Host)
	mustFail(t, r.Host+"/some/image:v2", quick(), NotFound, r.Host)
}

func TestDigestOfAnother(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image:v1", forHere())
	asked := "sha256:" + strings.Repeat("ab", 32)
	r.Add(registrytest.Fault{Path: asked, Body: []byte(`{"schemaVersion":2}`), Status: 200})
	mustFail(t, r.Host+"/some/image@"+asked, quick(), DigestMismatch)
}

func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := closed.Addr().String()
	closed.Close()
	mustFail(t, host+"/some/image", quick(), Unreachable, "connection refused", host)
	mustFail(t, "no-such-host.invalid/some/image", quick(), Unreachable, "no-such-host.invalid")
	mustFail(t, registrytest.NewTLS(t).Host+"/some/image", quick(), Unreachable, "certificate")
}

func TestStoreErrors(t *testing.T) {
	full := &net.OpError{Op: "write", Err: syscall.ENOSPC}
	cases := map[string]struct {
		spoil func(*memStore)
		kind  Kind
	}{
		"disk full while unpacking": {func(s *memStore) { s.stageErr = full }, DiskFull},
		"quota while committing":    {func(s *memStore) { s.commitErr, s.commitAt = syscall.EDQUOT, 2 }, DiskFull},
		"no image record":           {func(s *memStore) { s.putErr = syscall.EIO }, Other},
	}
	r := registrytest.New(t)
	r.Push("some/image", threeLayers())
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			store := newMemStore()
			c.spoil(store)
			_, err := Image(context.Background(), mustParse(t, r.Host+"/some/image"), quick(), store)
			if !errors.Is(err, c.kind) {
				t.Errorf("error %v, want %v", err, c.kind)
			}
			if err := store.unlike(0, 0); err != nil {
				t.Error(err)
			}
		})
	}
}
