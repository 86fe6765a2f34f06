package serve_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rootlet/pull/serve"
	"rootlet/pull/serve/folder"
	"rootlet/pull/serve/own"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

// storages are what the protocol is tested over: the same client sees no
// difference.
func storages(t *testing.T) map[string]serve.Storage {
	t.Helper()
	open := func() *folder.Folder {
		f, err := folder.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return map[string]serve.Storage{
		"folder":     open(),
		"own images": &own.Storage{Folder: open(), Images: noImages{}},
	}
}

type noImages struct{}

func (noImages) Names() (map[string][]string, error)           { return nil, nil }
func (noImages) Image(string) ([]byte, []byte, error)          { return nil, nil, serve.ErrNotThere }
func (noImages) Blob(digest string) (io.ReadSeekCloser, error) { return nil, serve.ErrNotThere }

// overEach runs a test against a registry over each storage.
func overEach(t *testing.T, o serve.Options, test func(c *client)) {
	for name, storage := range storages(t) {
		t.Run(name, func(t *testing.T) { test(dial(t, storage, o)) })
	}
}

type client struct {
	*testing.T
	url string
}

func dial(t *testing.T, storage serve.Storage, o serve.Options) *client {
	server := httptest.NewServer(serve.New(storage, o))
	t.Cleanup(server.Close)
	return &client{t, server.URL}
}

// answer is a response that was read.
type answer struct {
	t      *client
	what   string
	status int
	header http.Header
	body   []byte
}

// do sends a request; headers are pairs.
func (c *client) do(method, path string, body []byte, headers ...string) answer {
	c.Helper()
	r, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.Fatal(err)
	}
	return answer{c, method + " " + path, response.StatusCode, response.Header, text}
}

// is checks the status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: %d and not %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// says checks the code of an error.
func (a answer) says(code string) {
	a.t.Helper()
	var parsed struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(a.body, &parsed); err != nil || len(parsed.Errors) != 1 || parsed.Errors[0].Code != code || parsed.Errors[0].Message == "" {
		a.t.Errorf("%s: %q is no error %s", a.what, a.body, code)
	}
}

func (a answer) has(header, value string) answer {
	a.t.Helper()
	if got := a.header.Get(header); got != value {
		a.t.Errorf("%s: %s is %q and not %q", a.what, header, got, value)
	}
	return a
}

func (a answer) equals(body []byte) answer {
	a.t.Helper()
	if !bytes.Equal(a.body, body) {
		a.t.Errorf("%s: %q and not %q", a.what, short(a.body), short(body))
	}
	return a
}

func (a answer) decode(into any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		a.t.Errorf("%s: %q: %v", a.what, a.body, err)
	}
}

func short(b []byte) []byte { return b[:min(len(b), 200)] }

// location is where the answer leads, and has to be.
func (a answer) location() string {
	a.t.Helper()
	l := a.header.Get("Location")
	if !strings.HasPrefix(l, "/v2/") {
		a.t.Fatalf("%s: Location is %q", a.what, l)
	}
	return l
}

func digest(b []byte) string { return string(serve.Digest("sha256:").Of(b)) }

func digest512(b []byte) string { return fmt.Sprintf("sha512:%x", sha512.Sum512(b)) }

// begin begins an upload.
func (c *client) begin(repository string) string {
	c.Helper()
	return c.do("POST", "/v2/"+repository+"/blobs/uploads/", nil).is(http.StatusAccepted).has("Range", "0-0").location()
}

// push pushes a blob and returns its digest.
func (c *client) push(repository string, content []byte) string {
	c.Helper()
	d := digest(content)
	c.do("PUT", c.begin(repository)+"?digest="+d, content).is(http.StatusCreated)
	return d
}

// document is a manifest or an index in the making.
type document map[string]any

func descriptor(mediaType string, content []byte) document {
	return document{"mediaType": mediaType, "digest": digest(content), "size": len(content)}
}

// manifest is an image's; fields are added to it.
func manifest(config []byte, layers [][]byte, fields document) []byte {
	ls := []document{}
	for _, l := range layers {
		ls = append(ls, descriptor("application/vnd.oci.image.layer.v1.tar", l))
	}
	return marshal(document{
		"schemaVersion": 2, "mediaType": manifestType, "config": descriptor("application/vnd.oci.image.config.v1+json", config), "layers": ls,
	}, fields)
}

func marshal(d, fields document) []byte {
	for k, v := range fields {
		d[k] = v
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return text
}

// pushImage pushes an image under a tag or its digest.
func (c *client) pushImage(repository, reference string, fields document) []byte {
	c.Helper()
	config, layer := []byte("{}"), []byte("layer of "+reference)
	c.push(repository, config)
	c.push(repository, layer)
	m := manifest(config, [][]byte{layer}, fields)
	if reference == "" {
		reference = digest(m)
	}
	c.do("PUT", "/v2/"+repository+"/manifests/"+reference, m, "Content-Type", manifestType).is(http.StatusCreated).has("Docker-Content-Digest", digest(m))
	return m
}
