package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// What is wrong with what came.
var (
	ErrTruncated = errors.New("the registry broke off, and again when asked for the rest")
	ErrTooLarge  = fmt.Errorf("manifest or config larger than %d MiB", MaxDocument>>20)
	ErrSize      = errors.New("size differs from what the manifest says")

	errNoProxy = errors.New("HTTP_PROXY or HTTPS_PROXY is not the address of a proxy")
)

// StatusError is an answer that is a refusal.
type StatusError struct {
	Host   string
	Status int
	cause  *transport.Error
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("registry %s: %s", e.Host, e.Reason())
}

// NotFound reports that the repository, manifest or blob is not there.
func (e *StatusError) NotFound() bool { return e.Status == http.StatusNotFound }

// Unauthorized reports that credentials are missing, wrong or not enough.
func (e *StatusError) Unauthorized() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Reason is the registry's own message, or the status in words.
func (e *StatusError) Reason() string {
	if len(e.cause.Errors) > 0 && e.cause.Errors[0].Message != "" {
		return limit(e.cause.Errors[0].Message, 200)
	}
	return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
}

// NetworkError is no answer, or one that broke off.
type NetworkError struct {
	Host      string
	PlainHTTP bool // https was asked of a server that speaks http
	Err       error
}

func (e *NetworkError) Error() string { return fmt.Sprintf("registry %s: %v", e.Host, e.Err) }

// Unwrap gives the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// explain sorts what go-containerregistry and net/http return.
func explain(host string, err error) error {
	var status *transport.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate): // also where http was tried next, and answered
	case errors.As(err, &status):
		return &StatusError{Host: host, Status: status.StatusCode, cause: status}
	}
	return &NetworkError{Host: host, PlainHTTP: errors.Is(err, http.ErrSchemeMismatch), Err: rootCause(err)}
}

// rootCause drops what wraps the telling part: the URL, and for a registry
// tried over https and http the second of two errors.
func rootCause(err error) error {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return http.ErrSchemeMismatch
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return certificate
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network
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
