package registry

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	maxAttempts = 4
	maxWait     = 30 * time.Second // also where Retry-After asks for more
)

// retry sends req until it is answered for good. Only reading requests are
// repeated.
func (p *policy) retry(req *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := p.send(req)
		last := attempt == maxAttempts || req.Method != http.MethodGet && req.Method != http.MethodHead
		if last || !worthRetry(resp, err) {
			return resp, err
		}
		wait := p.backoff(attempt, resp)
		if resp != nil {
			resp.Body.Close()
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// send makes one attempt; the answer's body ends when nothing comes for long.
func (p *policy) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := p.inner.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = watched(ctx, cancel, resp.Body, p.config.Silence)
	return resp, nil
}

// worthRetry tells what passes (an overloaded server, a connection cut) from
// what stays (no such host, refused, a bad certificate).
func worthRetry(resp *http.Response, err error) bool {
	if resp != nil {
		switch resp.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return broken(err)
}

// broken holds for connections that were cut, or silent for too long.
func broken(err error) bool {
	var timeout net.Error
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errSilent) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// backoff doubles from RetryDelay, with a random half so that many clients do
// not come back at once; the server's Retry-After in seconds counts if longer.
func (p *policy) backoff(attempt int, resp *http.Response) time.Duration {
	d := p.config.RetryDelay << (attempt - 1)
	d = d/2 + rand.N(d/2+1)
	if resp != nil {
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			d = max(d, time.Duration(s)*time.Second)
		}
	}
	return min(d, maxWait)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
