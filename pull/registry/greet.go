package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// hubHost is where docker.io keeps its registry.
const hubHost = "registry-1.docker.io"

// httpDelay is how long https is given before http is tried as well, where that
// is allowed: some servers answer no question that they do not understand.
const httpDelay = 300 * time.Millisecond

// address is host:port as in URLs.
func (c Config) address() string {
	if c.Host == "docker.io" || c.Host == "index.docker.io" {
		return hubHost
	}
	return c.Host
}

// greet asks /v2/ over https, and where that may be over http, and takes what
// the registry asks who we are with. No login is shown yet.
func (c *Client) greet(ctx context.Context, host string) (url.URL, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		scheme string
		asked  challenge
		err    error
	}
	answers := make(chan answer, 2)
	ask := func(scheme string) {
		asked, err := c.greetOver(ctx, scheme, host)
		answers <- answer{scheme, asked, err}
	}
	go ask("https")
	var other <-chan time.Time
	open := 1
	if c.config.Insecure || isLoopback(host) {
		other = time.After(httpDelay)
	}
	var first, second error // of https and http
	for {
		select {
		case <-other:
			other = nil
			open++
			go ask("http")
		case got := <-answers:
			open--
			if got.err == nil {
				c.auth.asked = got.asked
				return url.URL{Scheme: got.scheme, Host: host}, nil
			}
			if got.scheme == "https" {
				first = got.err
			} else {
				second = got.err
			}
			if got.scheme == "https" && other != nil {
				other = nil
				open++
				go ask("http")
			}
			if open == 0 {
				return url.URL{}, telling(first, second)
			}
		}
	}
}

// telling picks the error that says more: a certificate that is wrong counts
// even where http was tried next; https asked of a server that speaks http does
// not.
func telling(overTLS, plain error) error {
	var certificate *tls.CertificateVerificationError
	if plain == nil || errors.As(overTLS, &certificate) || !errors.Is(overTLS, http.ErrSchemeMismatch) {
		return overTLS
	}
	return plain
}

// greetOver asks over one scheme.
func (c *Client) greetOver(ctx context.Context, scheme, host string) (challenge, error) {
	u := &url.URL{Scheme: scheme, Host: host, Path: "/v2/"}
	req := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(ctx)
	resp, err := (&http.Client{Transport: c.policy, CheckRedirect: checkRedirect}).Do(req)
	if err != nil {
		return challenge{}, err
	}
	defer drain(resp.Body)
	switch resp.StatusCode {
	case http.StatusOK:
		return challenge{}, nil
	case http.StatusUnauthorized:
		asked, ok := challengeOf(resp.Header)
		if ok && sameHost(resp.Request.URL, host) {
			return asked, nil
		}
	}
	return challenge{}, c.policy.refusal(resp)
}
