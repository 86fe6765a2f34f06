package folder

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/pull/serve"
)

// Blob opens a blob of the repository. Whoever asks for one may be about to
// push a manifest that needs it, so it counts as new for Sweep.
func (f *Folder) Blob(repository string, d serve.Digest) (io.ReadSeekCloser, error) {
	name := f.path(mark(repository, "_blobs", d))
	info, err := os.Lstat(name)
	if err != nil {
		return nil, there(err)
	}
	if now := time.Now(); now.Sub(info.ModTime()) > unasked/8 {
		_ = os.Chtimes(name, now, now) // a folder that is read-only is not swept
	}
	file, err := os.Open(f.path(blobPath(d)))
	if err != nil {
		return nil, there(err)
	}
	return file, nil
}

// hasBlob reports whether a repository has a blob whose bytes are there, too.
func (f *Folder) hasBlob(repository string, d serve.Digest) bool {
	return f.has(mark(repository, "_blobs", d)) && f.has(blobPath(d))
}

// Mount gives a repository a blob of another.
func (f *Folder) Mount(repository, from string, d serve.Digest) (bool, error) {
	release, err := f.lock(unix.LOCK_SH)
	if err != nil {
		return false, err
	}
	defer release()
	there := f.has(blobPath(d))
	if there && from != "" {
		there = f.has(mark(from, "_blobs", d))
	} else if there {
		// The bytes may be those of a manifest, which are no blob.
		there, err = f.anyRepository(func(name string) bool { return f.has(mark(name, "_blobs", d)) })
	}
	if err != nil || !there {
		return false, err
	}
	return true, f.put(mark(repository, "_blobs", d), nil)
}

// Adopt gives a repository a blob that comes from elsewhere, or returns ErrDigest
// where it is not the right one. A file that nobody writes to is linked where that can be done.
func (f *Folder) Adopt(repository string, d serve.Digest, content io.Reader) error {
	release, err := f.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer release()
	if !f.has(blobPath(d)) {
		file, ok := content.(*os.File)
		if !ok {
			err = f.copyIn(d, content)
		} else if err = f.link(d, file); isUnlinkable(err) {
			if _, err = file.Seek(0, io.SeekStart); err == nil {
				err = f.copyIn(d, file)
			}
		}
		if err != nil {
			return err
		}
	}
	return f.put(mark(repository, "_blobs", d), nil)
}

// link has the folder share a file that has the digest, and may not have been
// synced where it comes from.
func (f *Folder) link(d serve.Digest, file *os.File) error {
	h := d.New()
	if _, err := io.Copy(h, file); err != nil {
		return err
	}
	if serve.Sum(d.Algorithm(), h) != d {
		return serve.ErrDigest
	}
	if err := errors.Join(file.Sync(), f.makeParent(blobPath(d))); err != nil {
		return err
	}
	if err := os.Link(file.Name(), f.path(blobPath(d))); err != nil && !os.IsExist(err) {
		return err
	}
	return linux.SyncDir(filepath.Dir(f.path(blobPath(d))))
}

// isUnlinkable tells a file system that has no such link from other failures.
func isUnlinkable(err error) bool {
	return errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) ||
		errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT)
}

func (f *Folder) copyIn(d serve.Digest, content io.Reader) error {
	tmp, err := os.CreateTemp(f.path("tmp"), "")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	h := d.New()
	if _, err := io.Copy(io.MultiWriter(tmp, h), content); err != nil {
		return err
	}
	if serve.Sum(d.Algorithm(), h) != d {
		return serve.ErrDigest
	}
	return f.place(tmp, blobPath(d))
}

// RemoveBlob takes a blob out of a repository, and its bytes away where no other
// has it.
func (f *Folder) RemoveBlob(repository string, d serve.Digest) error {
	release, err := f.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer release()
	if err := os.Remove(f.path(mark(repository, "_blobs", d))); err != nil {
		return there(err)
	}
	return f.dropContent(d)
}

// dropContent takes bytes away that no repository names. The lock is the
// caller's alone.
func (f *Folder) dropContent(d serve.Digest) error {
	used, err := f.anyRepository(func(name string) bool {
		return f.has(mark(name, "_blobs", d)) || f.has(mark(name, "_manifests", d))
	})
	if err != nil || used {
		return err
	}
	if err := os.Remove(f.path(blobPath(d))); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
