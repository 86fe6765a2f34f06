package serve

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Storage keeps what a registry serves. Its methods may be called from several
// goroutines at once; the names, tags and digests that they get are valid by the
// grammar.
type Storage interface {
	// Repositories lists those that have a manifest, sorted.
	Repositories() ([]string, error)

	// Tags lists a repository's tags, sorted; ErrNoRepository where there was
	// never anything of that name.
	Tags(repository string) ([]string, error)

	// Tag says what a tag stands for.
	Tag(repository, tag string) (Digest, error)

	// Manifest reads a manifest or index.
	Manifest(repository string, d Digest) (Manifest, error)

	// Blob opens a blob of the repository. An *os.File is sent by the kernel.
	Blob(repository string, d Digest) (io.ReadSeekCloser, error)

	// Referrers lists the manifests whose subject is d, sorted.
	Referrers(repository string, d Digest) ([]Digest, error)

	// PutManifest stores a manifest with all that it needs in place, and lets
	// tags stand for it. What it needs and is not there it names by a
	// *MissingError.
	PutManifest(repository string, m Manifest, tags []string) error

	// RemoveManifest takes a manifest out of a repository, with its tags.
	RemoveManifest(repository string, d Digest) error
	RemoveTag(repository, tag string) error
	RemoveBlob(repository string, d Digest) error

	// Mount gives a repository a blob that another has; an empty from stands for
	// any. It reports whether there was one.
	Mount(repository, from string, d Digest) (bool, error)

	// Begin makes an upload, Upload finds one by its id. Nobody else has it
	// until it is closed.
	Begin(repository string) (Upload, error)
	Upload(repository, id string) (Upload, error)
}

// Upload is a blob on its way in. It outlives the server.
type Upload interface {
	ID() string
	Size() int64

	// Append adds what r has, and hashes it on the way. What has come before an
	// error stays, unless there is no room: then the upload is gone.
	Append(r io.Reader) error

	// Commit makes the upload a blob of its repository. Where the digest is
	// another it returns ErrDigest and the upload is gone.
	Commit(d Digest) error

	// Cancel takes it away.
	Cancel() error
	Close() error
}

// What storages say. Errors of other kinds are the server's fault.
var (
	ErrNotThere     = errors.New("not there")
	ErrNoRepository = fmt.Errorf("repository: %w", ErrNotThere)
	ErrDigest       = errors.New("the content has another digest")
	ErrBusy         = errors.New("another request writes to this upload")
)

// ErrNotKept is ErrNotThere for a blob whose bytes are not kept here, although its
// image is.
var ErrNotKept = fmt.Errorf("the bytes of this layer are not kept here; where keep-blobs is true, `rootlet pull` of the image brings them back: %w", ErrNotThere)

// ReadOnly is what a storage says of something that this server has no power to
// change.
type ReadOnly struct{ Why string }

func (e *ReadOnly) Error() string { return e.Why }

// MissingError lists what a manifest names and its repository does not have.
type MissingError struct{ Digests []Digest }

func (e *MissingError) Error() string {
	var names []string
	for _, d := range e.Digests {
		names = append(names, string(d))
	}
	return "not in this repository: " + strings.Join(names, ", ")
}
