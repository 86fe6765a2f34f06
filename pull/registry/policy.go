package registry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
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
	realm    string // host:port of the token server; may see them too
	inner    *http.Transport
}

func newPolicy(c Config, registryHost string) (*policy, error) {
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: c.HeaderTimeout, KeepAlive: 30 * time.Second}
	return &policy{
		config:   c,
		registry: registryHost,
		inner: &http.Transport{
			Proxy:                 func(req *http.Request) (*url.URL, error) { return c.Proxy.For(req.URL) },
			DialContext:           dialer.DialContext,
			TLSClientConfig:       tlsConfig,
			TLSHandshakeTimeout:   c.HeaderTimeout,
			ResponseHeaderTimeout: c.HeaderTimeout,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   16,
			ReadBufferSize:        64 << 10,
			// Blobs are hashed as they are sent, so nothing is decompressed on
			// the way. HTTP/2 stays off (a custom dialer does that): parallel
			// layers get a TCP window each.
			DisableCompression: true,
		},
	}, nil
}

func (p *policy) close() { p.inner.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper.
func (p *policy) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !p.config.Insecure && !isLoopback(req.URL.Host) {
		return nil, fmt.Errorf("plain http to %s is not allowed", req.URL.Host)
	}
	req = req.Clone(req.Context()) // the caller's must not change
	req.Header.Set("User-Agent", userAgent)
	if !p.trusts(req.URL) {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return p.retry(req)
}

// trusts reports whether credentials may go to u.
func (p *policy) trusts(u *url.URL) bool {
	return sameHost(u, p.registry) || p.realm != "" && sameHost(u, p.realm)
}

// allowRealm checks the token server that the registry names, and lets it see
// credentials. https or loopback, or else anybody on the way could read them.
func (p *policy) allowRealm(realm string) error {
	u, err := url.Parse(realm)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("the registry names no token server that could be reached: %q", limit(realm, 100))
	case u.Scheme == "https", u.Scheme == "http" && (isLoopback(u.Host) || p.config.Insecure):
		p.realm = u.Host
		return nil
	}
	return fmt.Errorf("the registry's token server %s is not https", u.Host)
}

// checkRedirect limits redirects; RoundTrip then looks at each request.
func (p *policy) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" && !isLoopback(req.URL.Host) {
		return errors.New("redirected from https to http")
	}
	return nil
}

func sameHost(u *url.URL, host string) bool {
	return strings.EqualFold(withPort(u.Scheme, u.Host), withPort(u.Scheme, host))
}

func withPort(scheme, host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), map[string]string{"http": "80", "https": "443"}[scheme])
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
