package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

var (
	errSilent   = errors.New("the registry fell silent in the middle of an answer")
	errNoAnswer = errors.New("the registry does not answer")
)

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

// drain reads the little that is left of an answer, so that its connection can
// be used again, and closes it.
func drain(b io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, b, maxRefusal)
	b.Close()
}

// readLimited reads all of r, or fails with tooLong.
func readLimited(r io.Reader, most int64, tooLong error) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, tooLong
	}
	return b, err
}

// isWebPage holds for an answer that is for people.
func isWebPage(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "text/html"
}

// progressCounts is how much of a blob has to come over a connection, in bytes,
// for its end to be no failure: one that is cut after a byte, again and again,
// is one that fails.
const progressCounts = 64 << 10

// maxLies is how often an answer is asked for again that cannot be right.
const maxLies = 1

// blob reads one blob over as many connections as it takes.
type blob struct {
	ctx    context.Context
	client *Client
	digest string
	size   int64

	offset int64         // of the byte that comes next
	body   io.ReadCloser // nil between connections
	since  int64         // bytes that came over this connection
	fails  int           // of connections over which little came, one after another
	lies   int
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
			continue
		}
		n, err := b.body.Read(p)
		b.offset += int64(n)
		b.since += int64(n)
		switch {
		case b.offset > b.size:
			return 0, fmt.Errorf("%w: more than %d bytes", ErrSize, b.size)
		case n > 0:
			return n, nil // an error comes again with the next read
		case err == io.EOF && b.offset == b.size:
			return 0, io.EOF
		case err == io.EOF, err != nil && broken(err):
			b.drop()
		case err != nil:
			return 0, b.client.policy.explain(err)
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
	if b.since >= progressCounts {
		b.fails = 0
	}
	b.since = 0
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
		return b.again(err)
	}
	b.body = resp.Body
	return nil
}

// again asks once more where the answer was not what was asked for: whatever
// stands between us and the registry may have had a bad moment.
func (b *blob) again(err error) error {
	if b.lies++; b.lies > maxLies {
		return err
	}
	if err := sleep(b.ctx, b.client.policy.backoff(1, nil)); err != nil {
		return err
	}
	return b.open()
}

// check compares what the answer says of itself with what was asked, and says
// how many bytes of it came before.
func (b *blob) check(resp *http.Response) (skip int64, err error) {
	left := b.size
	switch {
	case isWebPage(resp):
		return 0, b.client.policy.explain(errWebPage)
	case resp.StatusCode == http.StatusPartialContent:
		r, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err != nil || r.first != b.offset {
			return 0, fmt.Errorf("registry %s: asked for bytes from %d, got %q", b.client.config.Host, b.offset, limit(resp.Header.Get("Content-Range"), 100))
		}
		if r.size >= 0 && r.size != b.size || r.last >= b.size {
			return 0, fmt.Errorf("%w: %q, not %d bytes", ErrSize, limit(resp.Header.Get("Content-Range"), 100), b.size)
		}
		left = r.last - r.first + 1
	default:
		skip = b.offset
	}
	if resp.ContentLength >= 0 && resp.ContentLength != left {
		return 0, fmt.Errorf("%w: %d bytes, not %d", ErrSize, resp.ContentLength, left)
	}
	return skip, nil
}
