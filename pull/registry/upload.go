package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// smallBlob is sent in one request, in bytes: configs, most of all.
	smallBlob = 1 << 20
	// commitPatience is how long a registry may take to put away what was sent:
	// some move it, over a network.
	commitPatience = 5 * time.Minute
	// maxMounts is how many repositories are tried to mount a blob from.
	maxMounts = 2
	// abandonTime is how long one waits who breaks off, or is not let on.
	abandonTime = 2 * time.Second
)

// HasBlob reports whether the repository has a blob.
func (c *Client) HasBlob(ctx context.Context, d v1.Descriptor) (bool, error) {
	resp, err := c.do(ctx, &http.Request{Method: http.MethodHead, URL: c.path("blobs/" + d.Digest.String())},
		http.StatusOK, http.StatusNotFound, http.StatusTemporaryRedirect, http.StatusFound)
	if err != nil {
		return false, err
	}
	drain(resp.Body)
	if resp.StatusCode == http.StatusOK && resp.ContentLength >= 0 && resp.ContentLength != d.Size {
		return false, nil // sent again, and compared by the registry
	}
	return resp.StatusCode != http.StatusNotFound, nil
}

// PutBlob brings a blob into the repository: by a mount from another one that
// has it, or else by an upload, which is taken up again where it breaks.
func (c *Client) PutBlob(ctx context.Context, d v1.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	_, err := c.PutOrMount(ctx, d, open)
	return err
}

// PutOrMount is PutBlob, and says from which repository the blob was mounted;
// empty where it was sent.
func (c *Client) PutOrMount(ctx context.Context, d v1.Descriptor, open func(offset int64) (io.ReadCloser, error)) (from string, err error) {
	u := &upload{ctx: ctx, client: c, digest: d.Digest.String(), size: d.Size, open: open}
	from, err = u.mount()
	if from != "" || err != nil {
		return from, err
	}
	if err = u.send(); err != nil {
		u.abandon(err)
	}
	return "", err
}

// upload brings one blob into a repository.
type upload struct {
	ctx    context.Context
	client *Client
	digest string
	size   int64
	open   func(offset int64) (io.ReadCloser, error)

	at    *url.URL // where the registry takes it; nil before it was asked
	sent  int64    // bytes that the registry has
	fails int      // one after another, with nothing gained

	resumed bool // what is sent now goes on with what was there
}

// mount has the registry take the blob from another repository. One that does
// not begins an upload instead, which is gone on with.
func (u *upload) mount() (from string, err error) {
	if u.client.config.MountFrom == nil {
		return "", nil
	}
	candidates := u.client.config.MountFrom(u.digest)
	candidates = candidates[:min(len(candidates), maxMounts)]
	for _, repository := range candidates {
		u.client.auth.alsoRead(repository)
	}
	for _, repository := range candidates {
		if repository == u.client.config.Repository {
			continue
		}
		resp, err := u.post("?mount=" + url.QueryEscape(u.digest) + "&from=" + url.QueryEscape(repository))
		var status *StatusError
		if errors.As(err, &status) {
			continue // it may not be read, or the registry mounts nothing
		}
		if err != nil {
			return "", err
		}
		if resp.StatusCode == http.StatusCreated {
			return repository, nil
		}
		if err := u.follow(resp); err != nil {
			return "", err
		}
	}
	return "", nil
}

// post begins an upload.
func (u *upload) post(query string) (*http.Response, error) {
	to := u.client.path("blobs/uploads/")
	to.RawQuery = strings.TrimPrefix(query, "?")
	resp, err := u.client.do(u.ctx, &http.Request{Method: http.MethodPost, URL: to, Body: http.NoBody}, http.StatusAccepted, http.StatusCreated)
	if err == nil {
		drain(resp.Body)
	}
	return resp, err
}

// follow notes where the upload goes on. A registry behind a proxy may not know
// that it is spoken to over TLS.
func (u *upload) follow(resp *http.Response) error {
	at, err := resp.Location()
	if errors.Is(err, http.ErrNoLocation) && u.at != nil {
		return nil // where it went on before
	}
	if err != nil {
		return fmt.Errorf("registry %s: names no place for the upload", u.client.config.Host)
	}
	if at.Scheme == "http" && u.client.base.Scheme == "https" && strings.EqualFold(at.Host, u.client.base.Host) {
		at.Scheme = "https"
	}
	u.at = at
	return nil
}

// send sends what the registry does not have, until it has all.
func (u *upload) send() error {
	for {
		before := u.sent
		err := u.once()
		var source *sourceError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &source):
			return source.err
		case !u.again(err):
			return u.client.policy.explain(err)
		}
		if u.fails++; u.fails == maxAttempts {
			return u.client.policy.explain(err)
		}
		if err := sleep(u.ctx, u.client.policy.backoff(u.fails, nil)); err != nil {
			return err
		}
		if err := u.ask(); err != nil {
			return err
		}
		if u.sent-before >= progressCounts {
			u.fails = 0
		}
	}
}

// once begins, or goes on, and ends.
func (u *upload) once() error {
	if u.at == nil {
		resp, err := u.post("")
		if err != nil {
			return err
		}
		u.sent = 0
		if err := u.follow(resp); err != nil {
			return err
		}
	}
	if u.size <= smallBlob && u.sent == 0 {
		return u.put(u.size)
	}
	if u.sent < u.size {
		if err := u.patch(); err != nil {
			return err
		}
	}
	return u.put(0)
}

// again tells what a new try may mend: a connection that broke, a token that
// expired while the body was sent, an upload that the registry has forgotten or
// counts otherwise.
func (u *upload) again(err error) bool {
	var status *StatusError
	if !errors.As(err, &status) {
		return broken(err) || wasOpen(err)
	}
	switch status.Status {
	case http.StatusUnauthorized:
		return u.fails == 0
	case http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable, http.StatusBadRequest:
		if !u.resumed {
			return false // it was no matter of going on
		}
		u.at, u.resumed = nil, false
		return true
	}
	return worthRetry(&http.Response{StatusCode: status.Status}, nil)
}

// wasOpen holds for what can go wrong with a connection in use, of which
// net/http makes many errors of its own.
func wasOpen(err error) bool {
	var network *NetworkError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	return errors.As(err, &network) && !errors.As(err, &certificate) && !errors.Is(err, errForbidden) &&
		(!errors.As(err, &op) || op.Op != "dial")
}

// abandon tells the registry that nobody goes on with the upload: it would keep what
// has come for days, perhaps on a disk that is full. One that cannot be reached, or
// has no such call, finds out by itself.
func (u *upload) abandon(why error) {
	var network *NetworkError
	if u.at == nil || u.ctx.Err() == nil && errors.As(why, &network) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abandonTime)
	defer cancel()
	resp, err := u.client.do(ctx, &http.Request{Method: http.MethodDelete, URL: u.at}, http.StatusNoContent, http.StatusAccepted, http.StatusOK)
	if err == nil {
		drain(resp.Body)
	}
}

// ask finds out what the registry has got. One that does not say is sent all of
// it again.
func (u *upload) ask() error {
	if u.at == nil {
		return nil
	}
	resp, err := u.client.do(u.ctx, &http.Request{Method: http.MethodGet, URL: u.at}, http.StatusNoContent, http.StatusAccepted, http.StatusOK)
	var status *StatusError
	if err != nil && !errors.As(err, &status) {
		return err
	}
	if err == nil {
		drain(resp.Body)
		have, rangeErr := parseUploadRange(resp.Header.Get("Range"))
		if rangeErr == nil && have <= u.size && u.follow(resp) == nil {
			u.sent, u.resumed = have, have > 0
			return nil
		}
	}
	u.at, u.sent, u.resumed = nil, 0, false
	return nil
}

// patch sends the rest of the blob. From its beginning no range is named, as
// Docker does it, which all registries know.
func (u *upload) patch() error {
	header := http.Header{}
	if u.sent > 0 {
		header.Set("Content-Range", fmt.Sprintf("%d-%d", u.sent, u.size-1))
	}
	resp, err := u.body(http.MethodPatch, u.at, header, u.size-u.sent, http.StatusAccepted, http.StatusNoContent, http.StatusCreated)
	if err != nil {
		return err
	}
	u.sent = u.size
	return u.follow(resp)
}

// put ends the upload, with the last n bytes.
func (u *upload) put(n int64) error {
	to := *u.at
	to.RawQuery = strings.TrimPrefix(u.at.RawQuery+"&digest="+url.QueryEscape(u.digest), "&") // theirs to the letter: it may be signed
	_, err := u.body(http.MethodPut, &to, http.Header{}, n, http.StatusCreated, http.StatusNoContent, http.StatusOK)
	return err
}

// body sends n bytes of the blob from where the registry is. Of the answer only
// the headers are left.
func (u *upload) body(method string, to *url.URL, header http.Header, n int64, good ...int) (*http.Response, error) {
	header.Set("Content-Type", "application/octet-stream")
	ctx, cancel := context.WithCancelCause(patient(u.ctx, commitPatience))
	defer cancel(nil)
	req := &http.Request{Method: method, URL: to, Header: header, ContentLength: n, Body: http.NoBody}
	var sending *sending
	if n > 0 {
		from, err := u.open(u.sent)
		if err != nil {
			return nil, &sourceError{err}
		}
		sending = newSending(from, n, u.client.config.Silence, cancel)
		req.Body = sending
	}
	resp, err := u.client.do(ctx, req, good...)
	if err == nil {
		drain(resp.Body)
	}
	switch {
	case sending != nil && sending.failure() != nil:
		return nil, &sourceError{sending.failure()}
	case err != nil && u.ctx.Err() == nil && context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	}
	return resp, err
}

// sourceError is a blob that cannot be read here.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }
