package folder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/pull/serve"
)

// unasked is how long what belongs to no manifest is kept after it was last
// asked for: an upload that nobody goes on with, a blob whose manifest never
// came or is gone.
const unasked = 24 * time.Hour

// idle is how long nobody writes to an upload that gives way where there is no room.
const idle = time.Minute

// SweepEvery sweeps now and each hour until ctx is done.
func (f *Folder) SweepEvery(ctx context.Context, failed func(error)) {
	every := time.NewTicker(time.Hour)
	defer every.Stop()
	for {
		if err := f.Sweep(time.Now()); err != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// Sweep takes away what belongs to nothing and has not been asked for in a day
// before now.
func (f *Folder) Sweep(now time.Time) error {
	old := olderThan(unasked, now)
	if err := errors.Join(f.sweepUploads(old), f.sweepFiles("tmp", old)); err != nil {
		return err
	}
	release, err := f.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer release()
	if _, err := f.anyRepository(func(name string) bool {
		err = errors.Join(err, f.sweepRepository(name, old))
		return false
	}); err != nil {
		return err
	}
	return errors.Join(err, f.sweepContent(old))
}

func olderThan(age time.Duration, now time.Time) func(path string) bool {
	return func(path string) bool {
		info, err := os.Lstat(path)
		return err == nil && now.Sub(info.ModTime()) > age
	}
}

// sweepUploads leaves those alone that somebody writes to.
func (f *Folder) sweepUploads(old func(string) bool) error {
	names, err := f.names("uploads")
	for _, name := range names {
		path := f.path("uploads", name)
		if !old(path) {
			continue
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // somebody was faster
		}
		if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.Remove(path)
			f.mu.Lock()
			delete(f.hashing, name)
			f.mu.Unlock()
		}
		file.Close()
	}
	return err
}

func (f *Folder) sweepFiles(dir string, old func(string) bool) error {
	names, err := f.names(dir)
	for _, name := range names {
		if path := f.path(dir, name); old(path) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// sweepRepository takes a repository's blobs away that none of its manifests
// needs.
func (f *Folder) sweepRepository(name string, old func(string) bool) error {
	needed := map[serve.Digest]bool{}
	if err := f.marks(name, "_manifests", func(d serve.Digest) error {
		m, err := f.Manifest(name, d)
		if err != nil {
			return err
		}
		m, err = serve.ParseManifest(m.Body, m.MediaType)
		for _, blob := range m.Blobs {
			needed[blob] = true
		}
		return err
	}); err != nil {
		return err // with a manifest unread, nobody knows what it needs
	}
	return f.marks(name, "_blobs", func(d serve.Digest) error {
		if path := f.path(mark(name, "_blobs", d)); !needed[d] && old(path) {
			return os.Remove(path)
		}
		return nil
	})
}

// sweepContent takes bytes away that no repository names.
func (f *Folder) sweepContent(old func(string) bool) error {
	named := map[serve.Digest]bool{}
	var err error
	if _, walk := f.anyRepository(func(name string) bool {
		for _, what := range []string{"_blobs", "_manifests"} {
			err = errors.Join(err, f.marks(name, what, func(d serve.Digest) error { named[d] = true; return nil }))
		}
		return false
	}); walk != nil || err != nil {
		return errors.Join(walk, err)
	}
	return f.digests("blobs", func(d serve.Digest) error {
		if path := f.path(blobPath(d)); !named[d] && old(path) {
			return os.Remove(path)
		}
		return nil
	})
}

// marks calls do with each digest that a repository has of one kind.
func (f *Folder) marks(name, what string, do func(serve.Digest) error) error {
	return f.digests(filepath.Join("repositories", name, what), do)
}

func (f *Folder) digests(dir string, do func(serve.Digest) error) error {
	for _, algorithm := range []string{"sha256", "sha512"} {
		names, err := f.names(filepath.Join(dir, algorithm))
		if err != nil {
			return err
		}
		for _, name := range names {
			d, ok := serve.ParseDigest(algorithm + ":" + name)
			if !ok {
				continue // not ours
			}
			if err := do(d); err != nil {
				return err
			}
		}
	}
	return nil
}
