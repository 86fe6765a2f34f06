package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// userAgent is sent with every request.
const userAgent = "rootlet"

const maxRedirects = 10

// policy is the lowest transport: each request of the handshake, of the token
// exchange and of the transfer, and each redirect of theirs, passes through
// RoundTrip. It decides what may be sent where (threats 31: CVE-2020-15157,
// CVE-2026-48978) and tries again what failed on the way.
type policy struct {
	config   Config
	registry string // host:port as in URLs; may see credentials
	guard    *guard
	secrets  *secrets
	own      *http.Transport // to the registry
	others   *http.Transport // to whom it names: they do not see our certificates

	mu    sync.Mutex
	realm string // host:port of the token server that may see credentials too
}

func newPolicy(c Config, registryHost string) (*policy, error) {
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	p := &policy{config: c, registry: registryHost, guard: newGuard(registryHost, c.HeaderTimeout), secrets: &secrets{}}
	p.secrets.add(c.Login.Password, c.Login.IdentityToken, c.Login.RegistryToken)
	if c.Login.Username != "" {
		p.secrets.add(strings.TrimPrefix(basic(c.Login), "Basic "))
	}
	p.own = p.transport(tlsConfig)
	anonymous := tlsConfig.Clone()
	anonymous.Certificates = nil
	p.others = p.transport(anonymous)
	return p, nil
}

func (p *policy) transport(t *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 p.proxyFor,
		DialContext:           p.guard.dial,
		TLSClientConfig:       t,
		TLSHandshakeTimeout:   p.config.HeaderTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   16,
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       64 << 10,
		// Blobs are hashed as they are sent, so nothing is decompressed on
		// the way. HTTP/2 stays off (a custom dialer does that): parallel
		// layers get a TCP window each.
		DisableCompression: true,
	}
}

// proxyFor also looks at what a proxy is to reach, since the guard does not see
// it then.
func (p *policy) proxyFor(req *http.Request) (*url.URL, error) {
	proxy, err := p.config.Proxy.For(req.URL)
	if proxy == nil || err != nil {
		return nil, err
	}
	if secret, ok := proxy.User.Password(); ok {
		p.secrets.add(secret)
	}
	return proxy, p.guard.overProxy(req.URL, proxy)
}

func (p *policy) close() {
	p.own.CloseIdleConnections()
	p.others.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (p *policy) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !p.config.Insecure && !isLoopback(req.URL.Host) {
		return nil, fmt.Errorf("plain http to %s is not allowed", req.URL.Host)
	}
	req = req.Clone(req.Context()) // the caller's must not change
	req.Header.Set("User-Agent", userAgent)
	req.Header.Del("Referer")
	req.URL.User = nil // a redirect's, which net/http would send
	if !p.trusts(req.URL) {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return p.retry(req)
}

// trusts reports whether credentials may go to u.
func (p *policy) trusts(u *url.URL) bool {
	p.mu.Lock()
	realm := p.realm
	p.mu.Unlock()
	return sameHost(u, p.registry) || realm != "" && sameHost(u, realm)
}

// trustRealm lets a token server see credentials.
func (p *policy) trustRealm(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.realm = host
}

// transportFor is the one for a host.
func (p *policy) transportFor(u *url.URL) *http.Transport {
	if sameHost(u, p.registry) {
		return p.own
	}
	return p.others
}

// patience is the key of how long a request's answer may take, where that is
// not HeaderTimeout.
type patience struct{}

func patient(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patience{}, d)
}

func (p *policy) patience(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patience{}).(time.Duration); ok {
		return max(d, p.config.HeaderTimeout)
	}
	return p.config.HeaderTimeout
}

// checkRedirect limits redirects; RoundTrip then looks at each request.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" && !isLoopback(req.URL.Host) {
		return errors.New("redirected from https to http")
	}
	return nil
}

// followGet is checkRedirect for all but HEAD: that a blob lies elsewhere says
// that it is there, and elsewhere may be a link that is signed for GET alone.
func followGet(req *http.Request, via []*http.Request) error {
	if req.Method == http.MethodHead {
		return http.ErrUseLastResponse
	}
	return checkRedirect(req, via)
}

func sameHost(u *url.URL, host string) bool {
	return strings.EqualFold(withPort(u.Scheme, u.Host), withPort(u.Scheme, host))
}

func withPort(scheme, host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[scheme])
}

// isLoopback holds for addresses written as such and for localhost. A name
// that merely resolves to loopback is not trusted with plain http.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
