package imagestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/pull"
	"rootlet/pull/grammar"
	"rootlet/pull/registry"
)

// Store is a directory as it was when it was opened.
type Store struct {
	Dir     string
	Entries []Entry

	top  *os.File
	read int // bytes of documents, so far
}

// maxDocuments bounds what is read of all documents of a store together, in bytes: its
// keeper decides how many there are, and who lists images reads them all.
const maxDocuments = 128 << 20

// Open opens a directory to read from.
func Open(dir string) (*Store, error) {
	top, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s, err := open(top, dir)
	if err != nil {
		top.Close()
	}
	return s, err
}

func open(top *os.File, dir string) (*Store, error) {
	info, err := top.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, errors.New("can be written by everybody (chmod o-w makes it one user's)")
	}
	if err := isLayout(top); err != nil {
		return nil, err
	}
	body, err := document(top, indexFile)
	if err != nil {
		return nil, err
	}
	entries, err := parseIndex(body)
	return &Store{Dir: dir, Entries: entries, top: top}, err
}

// isLayout reads the file by which a layout shows that it is one.
func isLayout(top *os.File) error {
	text, err := document(top, layoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("is no image store: it has no %s", layoutFile)
	}
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err == nil && (json.Unmarshal(text, &layout) != nil || !strings.HasPrefix(layout.Version, "1.")) {
		err = fmt.Errorf("%s: not that of an OCI layout of version 1", layoutFile)
	}
	return err
}

// Close ends the use of the store.
func (s *Store) Close() error { return s.top.Close() }

// Blobs opens the directory of the blobs, for blobs.Store and for From.
func (s *Store) Blobs() (*os.File, error) {
	return linux.OpenBeneath(s.top, blobsDir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// Image is an image whose documents were read, and are what their digests say.
type Image struct {
	Entry
	ID               string // hexadecimal digest of Config
	Manifest, Config []byte
	DiffIDs          []string // of its layers, the lowest first
	Created          time.Time
}

// Size is that of its layers when unpacked, or as they lie here where that is not known.
func (i *Image) Size() int64 {
	var sum int64
	for _, n := range i.Sizes {
		sum += n
	}
	var m v1.Manifest
	if i.Sizes == nil && json.Unmarshal(i.Manifest, &m) == nil {
		for _, l := range m.Layers {
			sum += l.Size
		}
	}
	return sum
}

// Image reads the documents of an image.
func (s *Store) Image(e Entry) (*Image, error) {
	blobs, err := s.Blobs()
	if err != nil {
		return nil, err
	}
	defer blobs.Close()
	image := &Image{Entry: e}
	if image.Manifest, err = verified(blobs, e.Digest); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(image.Manifest, &m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", e.Digest, err)
	}
	if image.Config, err = verified(blobs, m.Config.Digest.String()); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if s.read += len(image.Manifest) + len(image.Config); s.read > maxDocuments {
		return nil, fmt.Errorf("manifests and configs of more than %d MiB", maxDocuments>>20)
	}
	image.ID = m.Config.Digest.Hex
	if image.DiffIDs, err = pull.DiffIDs(image.Config); err != nil {
		return nil, err
	}
	if len(image.Sizes) != len(image.DiffIDs) {
		image.Sizes = nil
	}
	var config struct{ Created time.Time }
	_ = json.Unmarshal(image.Config, &config) // an image need not say
	image.Created = config.Created
	return image, nil
}

// verified reads a document and compares it with its digest.
func verified(blobs *os.File, digest string) ([]byte, error) {
	name, err := digits(digest)
	if err != nil {
		return nil, err
	}
	body, err := document(blobs, name)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != name {
		return nil, fmt.Errorf("%s: %w: its content has another digest", digest, registry.ErrSize)
	}
	return body, nil
}

// digits are a digest's own; nothing else becomes a file's name (CVE-2024-3727).
func digits(digest string) (string, error) {
	name, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || !grammar.IsSHA256(name) {
		return "", fmt.Errorf("%q is no sha256 digest", digest)
	}
	return name, nil
}

// regular opens a file of a directory that anybody may have filled: no symlink is
// followed, and O_NONBLOCK, for opening a fifo would wait for its writer.
func regular(dir *os.File, name string) (*os.File, int64, error) {
	f, err := linux.OpenBeneath(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, 0, fmt.Errorf("%s is a symlink, which is not followed", name)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// document reads a file that is a JSON document, whole.
func document(dir *os.File, name string) ([]byte, error) {
	f, size, err := regular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > registry.MaxDocument {
		return nil, fmt.Errorf("%s: %w", name, registry.ErrTooLarge)
	}
	return io.ReadAll(io.LimitReader(f, registry.MaxDocument))
}

// From is a source of images whose blobs lie in an open directory; it is closed
// with the source. Manifests are asked for by their digests.
func From(blobs *os.File) pull.Source { return source{blobs} }

type source struct{ blobs *os.File }

// Manifest implements pull.Source.
func (s source) Manifest(_ context.Context, digest string) ([]byte, types.MediaType, error) {
	body, err := verified(s.blobs, digest)
	return body, "", err
}

// Blob implements pull.Source.
func (s source) Blob(_ context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	name, err := digits(digest)
	if err != nil {
		return nil, err
	}
	f, there, err := regular(s.blobs, name)
	if err != nil {
		return nil, err
	}
	if there != size {
		f.Close()
		return nil, fmt.Errorf("%w: blob %s has %d bytes, not %d", registry.ErrSize, digest, there, size)
	}
	// One that grows meanwhile is of no other size than it was said to be.
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, size-offset), f}, nil
}

// Local says that blobs are on this host (pull.Local).
func (source) Local() bool { return true }

// Close implements pull.Source.
func (s source) Close() error { return s.blobs.Close() }

var _ pull.Source = source{}

// reader is a text from an offset on.
func reader(text []byte) io.Reader { return bytes.NewReader(text) }
