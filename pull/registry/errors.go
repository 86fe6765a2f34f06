package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What is wrong with what came.
var (
	ErrTruncated = errors.New("the registry broke off, and again when asked for the rest")
	ErrTooLarge  = fmt.Errorf("manifest or config larger than %d MiB", MaxDocument>>20)
	ErrSize      = errors.New("size differs from what the manifest says")

	errNoProxy       = errors.New("HTTP_PROXY or HTTPS_PROXY is not the address of a proxy")
	errNoToken       = errors.New("the answer holds no token")
	errTokenTooLarge = fmt.Errorf("answer larger than %d MiB", maxToken>>20)
	errLonger        = errors.New("is longer than its descriptor says")
	errWebPage       = errors.New("a web page was sent instead: no registry, or a login page on the way to it")
)

// StatusError is an answer that is a refusal.
type StatusError struct {
	Host   string
	Status int
	reason string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("registry %s: %s", e.Host, e.reason)
}

// NotFound reports that the repository, manifest or blob is not there.
func (e *StatusError) NotFound() bool { return e.Status == http.StatusNotFound }

// Unauthorized reports that credentials are missing, wrong or not enough.
func (e *StatusError) Unauthorized() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Reason is the registry's own message, or the status in words.
func (e *StatusError) Reason() string { return e.reason }

// NetworkError is no answer, or one that broke off.
type NetworkError struct {
	Host      string
	PlainHTTP bool // https was asked of a registry that speaks http
	Server    bool // that is no registry
	Err       error
}

func (e *NetworkError) Error() string {
	what := "registry"
	if e.Server {
		what = "server"
	}
	return fmt.Sprintf("%s %s: %v", what, e.Host, e.Err)
}

// Unwrap gives the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// maxRefusal bounds what is read of a refusal, in bytes.
const maxRefusal = 64 << 10

// refusal makes an error of an answer that is one. It does not close the answer.
func (p *policy) refusal(resp *http.Response) *StatusError {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what came says enough
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	reason := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if json.Unmarshal(body, &answer) == nil && len(answer.Errors) > 0 {
		if first := answer.Errors[0]; first.Message != "" {
			reason = first.Message
		} else if first.Code != "" {
			reason = strings.ToLower(first.Code)
		}
	}
	if after, ok := retryAfter(resp); ok {
		reason += fmt.Sprintf(" (it asks to wait for %v)", after.Round(time.Second))
	}
	return &StatusError{Host: p.config.Host, Status: resp.StatusCode, reason: limit(p.secrets.redact(reason), 200)}
}

// explain sorts what net/http returns.
func (p *policy) explain(err error) error {
	var status *StatusError
	var network *NetworkError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &network):
		return err
	case errors.As(err, &status):
		return status
	}
	cause := rootCause(err)
	if text := p.secrets.redact(cause.Error()); text != cause.Error() {
		cause = &redactedError{text, cause}
	}
	return &NetworkError{Host: p.config.Host, PlainHTTP: errors.Is(err, http.ErrSchemeMismatch), Err: cause}
}

// rootCause drops what wraps the telling part: the URL, which may hold a
// signature or a token.
func rootCause(err error) error {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return http.ErrSchemeMismatch
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return certificate
	}
	var refused *net.OpError
	if errors.As(err, &refused) {
		if errors.Is(err, errForbidden) {
			return refused.Err
		}
		return refused
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

func limit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
