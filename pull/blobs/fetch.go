package blobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rootlet/internal/reserve"
)

// Fetch says what is to be fetched.
type Fetch struct {
	Digest string
	Size   int64 // bytes, known beforehand

	// From opens the blob where it comes from, at an offset; what it gives ends
	// with io.EOF only after exactly the bytes that are left.
	From func(ctx context.Context, offset int64) (io.ReadCloser, error)

	// Elsewhere hears how many bytes another process has that is fetching the
	// same blob, until it has them all or dies. It may be nil.
	Elsewhere func(bytes int64)
}

// ErrStale says that what an earlier try had left of a blob was no part of it.
// It is gone, and the next fetch begins from nothing.
var ErrStale = errors.New("what an earlier try had fetched of the blob is damaged")

// waitStep is how often one looks who waits for another's fetch.
const waitStep = 50 * time.Millisecond

// Fetch opens a blob wherever it is: here, partly here and the rest where it
// comes from, or in the hands of another, who is waited for. Reading it ends with
// io.EOF only if digest and size were right, and from then on the store has it.
// Errors are ErrMismatch where the blob that came was not right, ErrStale and
// ErrDamaged where it may be with another Fetch, else those of From. What has
// come of a fetch that is closed before its end stays for the next. fresh says
// that all of it comes from there now.
func (s *Store) Fetch(ctx context.Context, f Fetch) (blob io.ReadCloser, fresh bool, err error) {
	hex, err := digits(f.Digest)
	if err != nil {
		return nil, false, err
	}
	path := filepath.Join(s.dir, partialDir, hex)
	for {
		if s.Has(f.Digest) {
			blob, size, err := s.Read(f.Digest)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since
			}
			if err == nil && size != f.Size {
				_, err = io.Copy(io.Discard, blob) // damaged here, or said to be of another size
				blob.Close()
				if err == nil {
					err = fmt.Errorf("blob %s: %w: %d bytes, not %d", f.Digest, ErrMismatch, size, f.Size)
				}
				return nil, false, err
			}
			return blob, false, err
		}
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, false, fmt.Errorf("fetch: %w", err)
		}
		locked, err := lock(file)
		if err != nil {
			file.Close()
			return nil, false, err
		}
		if locked {
			p, err := s.resume(ctx, f, file)
			if err != nil {
				return nil, false, err
			}
			return p, p.had == 0, nil
		}
		if st, err := file.Stat(); err == nil && f.Elsewhere != nil && isThere(file) {
			f.Elsewhere(min(st.Size(), f.Size))
		}
		file.Close()
		select {
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case <-time.After(waitStep):
		}
	}
}

// Coming is how many bytes there are of a blob that somebody fetches, or has
// fetched.
func (s *Store) Coming(digest string) int64 {
	hex, err := digits(digest)
	if err != nil {
		return 0
	}
	for _, dir := range []string{partialDir, wholeDir} {
		if st, err := os.Stat(filepath.Join(s.dir, dir, hex)); err == nil {
			return st.Size()
		}
	}
	return 0
}

// resume takes over the file, which is locked, with what is in it.
func (s *Store) resume(ctx context.Context, f Fetch, file *os.File) (*fetching, error) {
	p := &fetching{store: s, Fetch: f, ctx: ctx, file: file, hash: sha256.New(), disk: s.watch(file)}
	st, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if p.had = st.Size(); p.had > f.Size {
		p.had = 0
		if err := file.Truncate(0); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	if p.had == f.Size && f.Size > 0 {
		return p, nil // it died between the last byte and the new name
	}
	if err := p.disk.Look(f.Size - p.had); err != nil {
		return nil, errors.Join(p.drop(err), file.Close())
	}
	// Asked now, so that a registry that says no is heard before anything begins.
	if p.rest, err = f.From(ctx, p.had); err != nil {
		if p.had == 0 {
			_ = gone(file.Name())
		}
		return nil, errors.Join(err, file.Close())
	}
	return p, nil
}

// fetching reads what there is, and then the rest, which it keeps.
type fetching struct {
	Fetch
	store *Store
	ctx   context.Context
	file  *os.File
	rest  io.ReadCloser // nil: all of it is in the file
	hash  hash.Hash
	had   int64 // bytes in the file to begin with
	at    int64
	disk  *reserve.Watch
	ended error // what every Read returns from now on
}

// Read implements io.Reader.
func (p *fetching) Read(b []byte) (int, error) {
	if p.ended != nil {
		return 0, p.ended
	}
	n, err := p.read(b)
	p.hash.Write(b[:n])
	p.at += int64(n)
	if err == io.EOF {
		err = p.keep()
	}
	p.ended = err
	return n, err
}

func (p *fetching) read(b []byte) (int, error) {
	if p.at < p.had {
		n, err := p.file.Read(b[:min(int64(len(b)), p.had-p.at)])
		if err == io.EOF {
			err = p.drop(ErrStale) // shorter than it was
		}
		return n, err
	}
	if p.rest == nil {
		return 0, io.EOF
	}
	n, err := p.rest.Read(b)
	if full := p.disk.Take(int64(n)); full != nil {
		return 0, p.drop(full)
	}
	if _, writeErr := p.file.Write(b[:n]); writeErr != nil {
		return 0, p.drop(fmt.Errorf("keep what has come: %w", writeErr))
	}
	return n, err
}

// keep gives the blob its name, if it is right.
func (p *fetching) keep() error {
	if sum(p.hash) == p.Digest && p.at == p.Size {
		path, _ := p.store.whole(p.Digest) // Fetch has looked at it
		if err := os.Rename(p.file.Name(), path); err != nil {
			return p.drop(fmt.Errorf("keep blob: %w", err))
		}
		return io.EOF
	}
	if p.had > 0 {
		return p.drop(fmt.Errorf("blob %s: %w", p.Digest, ErrStale))
	}
	return p.drop(fmt.Errorf("%w: digest %s, %d bytes", ErrMismatch, sum(p.hash), p.at))
}

// drop removes what has come: of a disk that is full, what was taken is given back.
func (p *fetching) drop(why error) error { return errors.Join(why, gone(p.file.Name())) }

// Close implements io.Closer. Another who waits may go on from here.
func (p *fetching) Close() error {
	var err error
	if p.rest != nil {
		err = p.rest.Close()
	}
	if p.ended == nil && p.at == 0 && p.had == 0 {
		err = errors.Join(err, gone(p.file.Name()))
	}
	return errors.Join(err, p.file.Close())
}
