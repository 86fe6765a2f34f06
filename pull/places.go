package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registry"
)

// places is a Source over the places where one repository may be had: mirrors in
// their order, then the registry that was named. The first that has a manifest
// is asked for all that belongs to it; what cannot be had there is asked of the
// next, a blob from the byte where it broke.
type places struct {
	all []*place

	mu    sync.Mutex
	first int // the place that had the manifest
}

// place is one of them, and the connection to it once there is one.
type place struct {
	config registry.Config

	mu     sync.Mutex
	client *registry.Client
	broken error // why it is asked no more
}

// From is a source over places that all have the same repository. It speaks to
// none before it is asked for something.
func From(endpoints []registry.Config) Source {
	p := &places{}
	for _, config := range endpoints {
		p.all = append(p.all, &place{config: config})
	}
	return p
}

// Manifest implements Source.
func (p *places) Manifest(ctx context.Context, identifier string) (body []byte, mediaType types.MediaType, err error) {
	err = p.each(ctx, func(at int, client *registry.Client) error {
		body, mediaType, err = client.Manifest(ctx, identifier)
		if err == nil && strings.Contains(identifier, ":") && digestOf(body) != identifier && p.all[at].config.Mirror {
			err = faultf(DigestMismatch, "registry %s sent a manifest with digest %s", p.all[at].config.Host, digestOf(body))
		}
		if err == nil {
			p.mu.Lock()
			p.first = at
			p.mu.Unlock()
		}
		return err
	})
	return body, mediaType, err
}

// Blob implements Source.
func (p *places) Blob(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	r := &relay{ctx: ctx, places: p, digest: digest, size: size, offset: offset, at: p.start()}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// Close implements Source.
func (p *places) Close() error {
	var errs []error
	for _, place := range p.all {
		place.mu.Lock()
		if place.client != nil {
			errs = append(errs, place.client.Close())
		}
		place.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (p *places) start() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// each asks one place after another until one can do it.
func (p *places) each(ctx context.Context, ask func(at int, client *registry.Client) error) error {
	var failed []error
	for at := p.start(); at < len(p.all); at++ {
		client, err := p.all[at].dial(ctx)
		if err == nil {
			err = ask(at, client)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		p.all[at].judge(err)
		failed = append(failed, err)
	}
	return allFailed(failed)
}

// dial connects to a place that has not been spoken to.
func (p *place) dial(ctx context.Context) (*registry.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil || p.client != nil {
		return p.client, p.broken
	}
	client, err := registry.Dial(ctx, p.config)
	if err != nil {
		return nil, err
	}
	p.client = client
	return client, nil
}

// judge has a place asked no more that cannot be reached, or breaks off again
// and again: each blob would wait for that anew. The registry that was named is
// asked to the last.
func (p *place) judge(err error) {
	var network *registry.NetworkError
	if !p.config.Mirror || !errors.As(err, &network) && !errors.Is(err, registry.ErrTruncated) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = err
}

// relay reads one blob over as many places as it takes.
type relay struct {
	ctx    context.Context
	places *places
	digest string
	size   int64

	offset int64 // of the byte that comes next
	at     int   // the place it comes from
	body   io.ReadCloser
	failed []error
}

// open finds a place that gives the rest.
func (r *relay) open() error {
	for ; r.at < len(r.places.all); r.at++ {
		client, err := r.places.all[r.at].dial(r.ctx)
		if err == nil {
			if r.body, err = client.Blob(r.ctx, r.digest, r.size, r.offset); err == nil {
				return nil
			}
		}
		if r.ctx.Err() != nil {
			return err
		}
		r.places.all[r.at].judge(err)
		r.failed = append(r.failed, err)
	}
	return allFailed(r.failed)
}

// Read implements io.Reader.
func (r *relay) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.offset += int64(n)
	switch {
	case err == nil, err == io.EOF, r.ctx.Err() != nil:
		return n, err
	case errors.Is(err, registry.ErrSize): // what has come is wrong already
		return n, err
	}
	r.body.Close()
	r.places.all[r.at].judge(err)
	r.failed = append(r.failed, err)
	r.at++
	if err := r.open(); err != nil {
		r.body = io.NopCloser(strings.NewReader(""))
		return n, err
	}
	return n, nil
}

// Close implements io.Closer.
func (r *relay) Close() error { return r.body.Close() }

// allFailed is why nothing could be had: the last place is the one that counts,
// but what the mirrors said is told too.
func allFailed(errs []error) error {
	last := len(errs) - 1
	switch last {
	case -1:
		return errors.New("no registry to ask")
	case 0:
		return errs[0]
	}
	return &mirrorsError{err: errs[last], mirrors: errs[:last]}
}

type mirrorsError struct {
	err     error
	mirrors []error
}

func (e *mirrorsError) Error() string { return e.err.Error() + e.words() }

// words is what the mirrors said.
func (e *mirrorsError) words() string {
	var said []string
	for _, err := range e.mirrors {
		if text := err.Error(); !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	return fmt.Sprintf(" (before that, %s)", strings.Join(said, "; "))
}

// Unwrap gives what the last place said.
func (e *mirrorsError) Unwrap() error { return e.err }
