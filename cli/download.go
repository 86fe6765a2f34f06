package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The patience with a server, as with a registry: to the first byte of its
// answer, and without a byte of it.
const (
	headerPatience = 30 * time.Second
	silence        = time.Minute
)

var errFellSilent = fmt.Errorf("the server sent nothing for %v", silence)

// download opens what an http or https URL names. Proxies are taken from the
// environment.
func download(url string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerPatience
	transport.DisableCompression = true // the file itself may be a gzip
	client := &http.Client{Transport: transport, CheckRedirect: stayEncrypted}
	answer, err := client.Do(request)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		cancel(nil)
		return nil, fmt.Errorf("the server answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	watch := time.AfterFunc(silence, func() { cancel(errFellSilent) })
	return &downloaded{answer.Body, ctx, watch, cancel}, nil
}

// stayEncrypted does not let a server send https on to http.
func stayEncrypted(next *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("redirected ten times")
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("redirected from https to %s", next.URL.Scheme)
	}
	return nil
}

// downloaded is an answer's body that ends when nothing comes for too long.
type downloaded struct {
	io.ReadCloser
	ctx    context.Context
	watch  *time.Timer
	cancel context.CancelCauseFunc
}

// Read implements io.Reader.
func (d *downloaded) Read(p []byte) (int, error) {
	d.watch.Reset(silence)
	n, err := d.ReadCloser.Read(p)
	d.watch.Stop()
	if err != nil && err != io.EOF && d.ctx.Err() != nil {
		err = context.Cause(d.ctx)
	}
	return n, err
}

// Close implements io.Closer.
func (d *downloaded) Close() error {
	d.watch.Stop()
	d.cancel(nil)
	return d.ReadCloser.Close()
}
