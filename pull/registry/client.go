// Package registry reads and writes manifests and blobs of one repository of an
// image registry (OCI distribution-spec, Docker Registry HTTP API V2), and lists
// what a registry has.
//
// Its transport limits what a registry can cost (time to answer, silence, size),
// where credentials go, and where a registry can send us: client.go, over auth.go
// (who asks), over policy.go (what may be sent where, and how often), over
// guard.go (what may be connected to). It compares sizes; digests are the
// caller's to compare. Package pull and the commands call it, in the user's own
// process or in the worker.
package registry

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// MaxDocument bounds manifests and configs, in bytes; the specification asks
// registries for 4 MiB.
const MaxDocument = 4 << 20

// Config says where to and how. It is plain data: found out in the user's own
// process, and handed to the worker.
type Config struct {
	Host       string `json:"host"` // registry, docker.io included
	Repository string `json:"repository"`
	Push       bool   `json:"push,omitempty"`     // is written to
	Insecure   bool   `json:"insecure,omitempty"` // --tls-verify=false: no certificates checked, http tried too
	Mirror     bool   `json:"mirror,omitempty"`   // stands in for the registry that the user named
	Login      Login  `json:"login,omitzero"`
	TLS        TLS    `json:"tls,omitzero"`
	Proxy      Proxy  `json:"proxy,omitzero"`

	// TokenServers are hosts that may see the login, besides those under the
	// registry's own domain.
	TokenServers []string `json:"tokenServers,omitempty"`

	// MountFrom names other repositories of the host that have a blob.
	MountFrom func(digest string) []string `json:"-"`

	// The limits; zero stands for the default.
	HeaderTimeout time.Duration `json:"headerTimeout,omitempty"` // to the first byte of an answer: 30 s
	Silence       time.Duration `json:"silence,omitempty"`       // without a byte of a body: 60 s
	RetryDelay    time.Duration `json:"retryDelay,omitempty"`    // before the first retry, doubling from there: 250 ms
}

// Client reads from one repository, and writes to it. Any number of goroutines
// may use it.
type Client struct {
	config Config
	base   url.URL // scheme and host
	http   *http.Client
	policy *policy
	auth   *auth
}

// Dial asks the registry how it wants to be spoken to, and gets a token where
// it wants one.
func Dial(ctx context.Context, c Config) (*Client, error) {
	c = c.withDefaults()
	client, err := newClient(c, c.address())
	if err != nil {
		return nil, err
	}
	if client.base, err = client.greet(ctx, c.address()); err == nil {
		_, err = client.auth.header(ctx)
	}
	if err != nil {
		client.policy.close()
		return nil, client.policy.explain(err)
	}
	return client, nil
}

// newClient is a client that has spoken to nobody.
func newClient(c Config, host string) (*Client, error) {
	p, err := newPolicy(c, host)
	if err != nil {
		return nil, err
	}
	a := newAuth(c, p)
	return &Client{config: c, policy: p, auth: a, http: &http.Client{Transport: a, CheckRedirect: followGet}}, nil
}

// Close gives the connections back.
func (c *Client) Close() error {
	c.policy.close()
	return nil
}

// Manifest reads the manifest or index that a tag or digest names, and the
// media type it came with.
func (c *Client) Manifest(ctx context.Context, identifier string) ([]byte, types.MediaType, error) {
	accept := http.Header{"Accept": {strings.Join(manifestTypes(), ", ")}}
	b, header, err := c.document(ctx, c.path("manifests/"+identifier), accept, MaxDocument, ErrTooLarge)
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return b, types.MediaType(mediaType), err
}

// Blob opens a blob of size bytes at an offset. Reading it ends with io.EOF only
// after exactly what is left; a connection that breaks is taken up again where
// it broke.
func (c *Client) Blob(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	b := &blob{ctx: ctx, client: c, digest: digest, size: size, offset: offset}
	if offset == size && size > 0 {
		return b, nil // nothing is left
	}
	if err := b.open(); err != nil {
		return nil, err
	}
	return b, nil
}

// path is that of something in the repository.
func (c *Client) path(rest string) *url.URL {
	u := c.base
	u.Path = "/v2/" + c.config.Repository + "/" + rest
	return &u
}

// get sends one request for something in the repository; the answer is 200 or
// 206, or an error.
func (c *Client) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	return c.do(ctx, &http.Request{Method: http.MethodGet, URL: c.path(path), Header: header}, http.StatusOK, http.StatusPartialContent)
}

// do sends a request whose answer has one of these statuses, or else is an error.
func (c *Client) do(ctx context.Context, req *http.Request, good ...int) (*http.Response, error) {
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, c.policy.explain(err)
	}
	if !slices.Contains(good, resp.StatusCode) {
		defer drain(resp.Body)
		return nil, c.policy.refusal(resp)
	}
	return resp, nil
}

// document reads something small to its end, however often it breaks off.
func (c *Client) document(ctx context.Context, u *url.URL, header http.Header, most int64, tooLarge error) ([]byte, http.Header, error) {
	for attempt := 1; ; attempt++ {
		resp, err := c.do(ctx, &http.Request{Method: http.MethodGet, URL: u, Header: header}, http.StatusOK)
		if err != nil {
			return nil, nil, err
		}
		b, err := readDocument(resp, most, tooLarge)
		lied := errors.Is(err, errWebPage) && attempt <= maxLies
		switch {
		case err == nil:
			return b, resp.Header, nil
		case errors.Is(err, tooLarge):
			return nil, nil, err
		case attempt == maxAttempts || !lied && !broken(err):
			return nil, nil, c.policy.explain(err)
		}
		if err := sleep(ctx, c.policy.backoff(attempt, nil)); err != nil {
			return nil, nil, err
		}
	}
}

func readDocument(resp *http.Response, most int64, tooLarge error) ([]byte, error) {
	defer resp.Body.Close()
	switch {
	case resp.ContentLength > most:
		return nil, tooLarge
	case isWebPage(resp):
		return nil, errWebPage
	}
	return readLimited(resp.Body, most, tooLarge)
}

// manifestTypes leaves schema 1 out: a registry that could convert does.
func manifestTypes() []string {
	return []string{
		string(types.OCIImageIndex), string(types.DockerManifestList),
		string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
	}
}

func (c Config) withDefaults() Config {
	for value, standard := range map[*time.Duration]time.Duration{
		&c.HeaderTimeout: 30 * time.Second,
		&c.Silence:       60 * time.Second,
		&c.RetryDelay:    250 * time.Millisecond,
	} {
		if *value == 0 {
			*value = standard
		}
	}
	return c
}

// Login is what a registry may ask for; empty is anonymous.
type Login struct {
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identityToken,omitempty"` // an OAuth 2 refresh token
	RegistryToken string `json:"registryToken,omitempty"` // a bearer token, sent as it is
}
