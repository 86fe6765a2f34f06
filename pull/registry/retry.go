package registry

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"
)

const (
	maxAttempts = 6
	maxDelay    = 30 * time.Second // between two attempts, where the server does not say
	maxWait     = 5 * time.Minute  // before all attempts together
)

// retry sends req until it is answered for good. A body is repeated only where
// it can be had again.
func (p *policy) retry(req *http.Request) (*http.Response, error) {
	var waited time.Duration
	for attempt := 1; ; attempt++ {
		resp, err := p.send(req)
		if attempt == maxAttempts || !repeatable(req) || !worthRetry(resp, err) {
			return resp, err
		}
		wait := p.backoff(attempt, resp)
		if waited += wait; waited > maxWait {
			return resp, err
		}
		if resp != nil {
			drain(resp.Body)
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

func repeatable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// send makes one attempt. Its headers come in time, counted from when the
// request was sent; its body ends when nothing comes for long.
func (p *policy) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	late := &deadline{cancel: cancel}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { late.start(p.patience(req.Context())) },
	})
	resp, err := p.transportFor(req.URL).RoundTrip(req.WithContext(ctx))
	late.stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = watched(ctx, cancel, resp.Body, p.config.Silence)
	return resp, nil
}

// deadline ends a request that is not answered in time. An answer may come
// before the request was written to its end, so that stop may precede start.
type deadline struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

func (d *deadline) start(after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	if !d.stopped {
		d.timer = time.AfterFunc(after, func() { d.cancel(errNoAnswer) })
	}
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
	}
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

// broken holds for connections that were cut, or silent for too long. It does
// not hold for those that never were: resolver and kernel have tried again
// themselves.
func broken(err error) bool {
	var timeout net.Error
	var op *net.OpError
	var lookup *net.DNSError
	switch {
	case err == nil, errors.As(err, &lookup), errors.Is(err, errForbidden), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &op) && op.Op == "dial":
		return errors.Is(err, syscall.ECONNRESET)
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errSilent) || errors.Is(err, errNoAnswer) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// backoff doubles from RetryDelay, with a random half so that many clients do
// not come back at once; the server's Retry-After counts if longer.
func (p *policy) backoff(attempt int, resp *http.Response) time.Duration {
	d := min(p.config.RetryDelay<<(attempt-1), maxDelay)
	d = d/2 + rand.N(d/2+1)
	if resp != nil {
		if after, ok := retryAfter(resp); ok {
			d = max(d, after)
		}
	}
	return d
}

// retryAfter is how long a server asks to be left alone: in seconds, or until a
// date, which is compared with its own clock where it shows that.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	text := resp.Header.Get("Retry-After")
	if n, ok := number(text); ok {
		return time.Duration(min(n, 1<<30)) * time.Second, true
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(until.Sub(now), 0), true
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
