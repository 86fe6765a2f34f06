package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

var errSilent = errors.New("the registry fell silent in the middle of an answer")

// body is an answer's body that ends when the registry sends nothing for too
// long.
type body struct {
	io.ReadCloser
	silence time.Duration
	watch   *time.Timer
	cancel  context.CancelCauseFunc
	ctx     context.Context
}

func watched(ctx context.Context, cancel context.CancelCauseFunc, inner io.ReadCloser, silence time.Duration) *body {
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	return &body{inner, silence, watch, cancel, ctx}
}

// Read resets the watch before, not after, so that a reader that pauses (a
// slow disk) is not taken for a silent registry.
func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(b.silence)
	n, err := b.ReadCloser.Read(p)
	b.watch.Stop()
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.watch.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// blob reads one blob over as many connections as it takes.
type blob struct {
	ctx    context.Context
	client *Client
	digest string
	size   int64

	offset int64         // of the byte that comes next
	body   io.ReadCloser // nil between connections
	fails  int           // since the last byte that came
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	for {
		if b.body == nil {
			if b.offset == b.size && b.size > 0 {
				return 0, io.EOF // it broke after the last byte
			}
			if err := b.reopen(); err != nil {
				return 0, err
			}
		}
		n, err := b.body.Read(p)
		b.offset += int64(n)
		switch {
		case b.offset > b.size:
			return 0, fmt.Errorf("%w: more than %d bytes", ErrSize, b.size)
		case n > 0:
			b.fails = 0
			return n, nil // an error comes again with the next read
		case err == io.EOF && b.offset == b.size:
			return 0, io.EOF
		case err == io.EOF, err != nil && broken(err):
			b.drop()
		case err != nil:
			return 0, explain(b.client.config.Host, err)
		}
	}
}

// Close implements io.Closer.
func (b *blob) Close() error {
	b.drop()
	return nil
}

func (b *blob) drop() {
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
}

// reopen takes the transfer up where it broke, if it gets anywhere.
func (b *blob) reopen() error {
	b.fails++
	if b.fails == maxAttempts {
		return fmt.Errorf("%w (%d of %d bytes)", ErrTruncated, b.offset, b.size)
	}
	if err := sleep(b.ctx, b.client.policy.backoff(b.fails, nil)); err != nil {
		return err
	}
	return b.open()
}

// open asks for what is left of the blob. A registry that knows no ranges
// sends all of it, and the part that came before is skipped.
func (b *blob) open() error {
	header := http.Header{}
	if b.offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.offset, b.size-1))
	}
	resp, err := b.client.get(b.ctx, "blobs/"+b.digest, header)
	if err != nil {
		return err
	}
	skip, err := b.check(resp)
	if err == nil && skip > 0 {
		_, err = io.CopyN(io.Discard, resp.Body, skip)
		if err == io.EOF || broken(err) {
			resp.Body.Close()
			return nil // Read finds no body and counts one more failure
		}
	}
	if err != nil {
		resp.Body.Close()
		return err
	}
	b.body = resp.Body
	return nil
}

// check compares what the answer says of itself with what was asked, and says
// how many bytes of it came before.
func (b *blob) check(resp *http.Response) (skip int64, err error) {
	left := b.size
	if resp.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", b.offset)) {
			return 0, fmt.Errorf("registry %s: asked for bytes from %d, got %q", b.client.config.Host, b.offset, resp.Header.Get("Content-Range"))
		}
		left -= b.offset
	} else {
		skip = b.offset
	}
	if resp.ContentLength >= 0 && resp.ContentLength != left {
		return 0, fmt.Errorf("%w: %d bytes, not %d", ErrSize, resp.ContentLength, left)
	}
	return skip, nil
}
