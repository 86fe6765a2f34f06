// Package folder keeps what a registry serves in a directory:
//
//	version                                      "rootlet registry 1"
//	lock                                         see below
//	blobs/sha256/HEX, blobs/sha512/HEX           every blob and manifest once, its bytes and nothing else
//	repositories/NAME/_blobs/ALGORITHM/HEX       empty: the repository has this blob
//	repositories/NAME/_manifests/ALGORITHM/HEX   the manifest's media type
//	repositories/NAME/_tags/TAG                  the digest that the tag stands for
//	repositories/NAME/_referrers/ALGORITHM/HEX/ALGORITHM-HEX
//	                                             empty: the second manifest's subject is the first
//	uploads/ID-REPOSITORY                        what has come of a blob; REPOSITORY is a part of its name's hash
//	tmp/                                         files on their way to their place
//
// No part of a repository's name begins with an underscore. A file comes to its
// place whole and on disk (fsync, then rename), content before what speaks of
// it, so that a crash leaves content that nobody names, at worst, and [Folder.Sweep]
// takes that away. Any number of processes may use one folder: who adds shares
// the lock (flock(2)), who takes away has it alone. Readers take none; what they
// have opened stays.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/pull/serve"
)

// Folder is a serve.Storage in a directory.
type Folder struct {
	dir string

	mu      sync.Mutex
	hashing map[string]*progress // uploads, by their file's name
	full    time.Time            // when there was no room last
}

const format = "rootlet registry 1\n"

// Open makes the folder where it is not there yet. Somebody else's directory
// with files in it is left alone.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir: dir, hashing: map[string]*progress{}}
	found, err := os.ReadFile(f.path("version"))
	switch {
	case err == nil && string(found) != format:
		return nil, fmt.Errorf("%s: has the form %q, and only %q is known", dir, strings.TrimSpace(string(found)), strings.TrimSpace(format))
	case err == nil:
		return f, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return f, f.create()
}

func (f *Folder) create() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		// Another process may be making the same folder.
		if name := e.Name(); name != "tmp" && name != "lock" && name != "blobs" && name != "repositories" && name != "uploads" {
			return fmt.Errorf("%s is no registry's folder, and not empty: it has %s", f.dir, name)
		}
	}
	for _, dir := range []string{"blobs", "repositories", "uploads", "tmp"} {
		if err := os.MkdirAll(f.path(dir), 0o700); err != nil {
			return err
		}
	}
	return f.put("version", []byte(format))
}

// path is a file's, below the folder.
func (f *Folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

// blobPath is where a digest's content is.
func blobPath(d serve.Digest) string { return filepath.Join("blobs", d.Algorithm(), d.Hex()) }

// mark is a file of a repository's that stands for a digest.
func mark(repository, what string, d serve.Digest) string {
	return filepath.Join("repositories", repository, what, d.Algorithm(), d.Hex())
}

func tagPath(repository, tag string) string {
	return filepath.Join("repositories", repository, "_tags", tag)
}

func referrerPath(repository string, subject, d serve.Digest) string {
	return filepath.Join(mark(repository, "_referrers", subject), d.Algorithm()+"-"+d.Hex())
}

// put writes a small file and has it on disk before it is seen.
func (f *Folder) put(name string, content []byte) error {
	tmp, err := os.CreateTemp(f.path("tmp"), "")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // where it did not come to its place
	defer tmp.Close()
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	return f.place(tmp, name)
}

// place gives a file that is whole its name.
func (f *Folder) place(file *os.File, name string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := f.makeParent(name); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), f.path(name)); err != nil {
		return err
	}
	return linux.SyncDir(filepath.Dir(f.path(name)))
}

// makeParent makes the directories above a file, each on disk in its parent.
func (f *Folder) makeParent(name string) error {
	dir := f.dir
	for part := range strings.SplitSeq(filepath.Dir(name), "/") {
		parent := dir
		dir = filepath.Join(dir, part)
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			err = linux.SyncDir(parent)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// lock takes the folder's lock, shared to add and alone to take away, until
// release is called.
func (f *Folder) lock(how int) (release func(), err error) {
	file, err := os.OpenFile(f.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// there turns an error of a file that is missing into the storage's word for it.
func there(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return serve.ErrNotThere
	}
	return err
}

func (f *Folder) has(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}
