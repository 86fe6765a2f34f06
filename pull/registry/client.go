// Package registry reads manifests and blobs from one repository of an image
// registry (OCI distribution-spec, Docker Registry HTTP API V2).
//
// It is go-containerregistry's handshake over a transport of its own, which
// limits what a registry can cost (time to answer, silence, size) and where
// credentials go. It compares sizes; digests are the caller's to compare.
// Package pull alone calls it.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
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
	Insecure   bool   `json:"insecure,omitempty"` // --tls-verify=false: no certificates checked, http tried too
	Mirror     bool   `json:"mirror,omitempty"`   // stands in for the registry that the user named
	Login      Login  `json:"login,omitzero"`
	TLS        TLS    `json:"tls,omitzero"`
	Proxy      Proxy  `json:"proxy,omitzero"`

	// The limits; zero stands for the default.
	HeaderTimeout time.Duration `json:"headerTimeout,omitempty"` // to the first byte of an answer: 30 s
	Silence       time.Duration `json:"silence,omitempty"`       // without a byte of a body: 60 s
	RetryDelay    time.Duration `json:"retryDelay,omitempty"`    // before the first retry, doubling from there: 250 ms
}

// Client reads from one repository. Any number of goroutines may use it.
type Client struct {
	config Config
	base   url.URL // scheme and host
	http   *http.Client
	policy *policy
}

// Dial asks the registry how it wants to be spoken to, and gets a token where
// it wants one.
func Dial(ctx context.Context, c Config) (*Client, error) {
	c = c.withDefaults()
	reg, err := name.NewRegistry(c.Host, registryOptions(c)...)
	if err != nil {
		return nil, err
	}
	p, err := newPolicy(c, reg.RegistryStr())
	if err != nil {
		return nil, err
	}
	challenge, err := transport.Ping(ctx, reg, p)
	if err != nil {
		p.close()
		return nil, explain(c.Host, err)
	}
	rt, err := authenticate(ctx, c, reg, challenge, p)
	if err != nil {
		p.close()
		return nil, explain(c.Host, err)
	}
	scheme := "https"
	if challenge.Insecure {
		scheme = "http"
	}
	return &Client{
		config: c,
		base:   url.URL{Scheme: scheme, Host: reg.RegistryStr()},
		http:   &http.Client{Transport: rt, CheckRedirect: p.checkRedirect},
		policy: p,
	}, nil
}

// Close gives the connections back.
func (c *Client) Close() error {
	c.policy.close()
	return nil
}

// Manifest reads the manifest or index that a tag or digest names, and the
// media type it came with.
func (c *Client) Manifest(ctx context.Context, identifier string) ([]byte, types.MediaType, error) {
	resp, err := c.get(ctx, "manifests/"+identifier, http.Header{"Accept": {strings.Join(manifestTypes(), ", ")}})
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := readDocument(resp.Body)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = explain(c.config.Host, err)
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return b, types.MediaType(mediaType), err
}

// Blob opens a blob of size bytes at an offset. Reading it ends with io.EOF only
// after exactly what is left; a connection that breaks is taken up again where
// it broke.
func (c *Client) Blob(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	b := &blob{ctx: ctx, client: c, digest: digest, size: size, offset: offset}
	if err := b.open(); err != nil {
		return nil, err
	}
	return b, nil
}

// get sends one request; the answer is 200 or 206, or an error.
func (c *Client) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	u := c.base
	u.Path = fmt.Sprintf("/v2/%s/%s", c.config.Repository, path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, explain(c.config.Host, err)
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		resp.Body.Close()
		return nil, explain(c.config.Host, err)
	}
	return resp, nil
}

func readDocument(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err == nil && len(b) > MaxDocument {
		err = ErrTooLarge
	}
	return b, err
}

// manifestTypes leaves schema 1 out: a registry that could convert does.
func manifestTypes() []string {
	return []string{
		string(types.OCIImageIndex), string(types.DockerManifestList),
		string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
	}
}

// authenticate answers the registry's challenge.
func authenticate(ctx context.Context, c Config, reg name.Registry, challenge *transport.Challenge, p *policy) (http.RoundTripper, error) {
	login := c.Login.authenticator()
	token := &transport.Token{}
	if strings.EqualFold(challenge.Scheme, "bearer") {
		if err := p.allowRealm(challenge.Parameters["realm"]); err != nil {
			return nil, err
		}
		var err error
		scope := "repository:" + c.Repository + ":pull"
		if token, err = transport.Exchange(ctx, reg, login, p, []string{scope}, challenge); err != nil {
			return nil, err
		}
		if token.Token == "" {
			token.Token = token.AccessToken // OAuth 2's name for it
		}
	}
	return transport.FromToken(reg, login, p, challenge, token)
}

func registryOptions(c Config) []name.Option {
	if c.Insecure || isLoopback(c.Host) {
		return []name.Option{name.Insecure} // http is tried after https
	}
	return nil
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

func (l Login) authenticator() authn.Authenticator {
	if l == (Login{}) {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: l.Username, Password: l.Password,
		IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken,
	})
}
