package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/pull/registry"
)

// files are named contents: those of a directory or of an archive. Any number
// of goroutines may read.
type files interface {
	// open opens a regular file, or fails with fs.ErrNotExist.
	open(name string) (*content, error)
	Close() error
}

// content is one file's.
type content struct {
	*io.SectionReader
	file *os.File // to be closed with it; nil for a part of an archive
}

// Close implements io.Closer.
func (c *content) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

// directory is files in a directory that is open.
type directory struct{ top *os.File }

func (d directory) Close() error { return d.top.Close() }

// open follows no symlink: a layout needs none, and where one that a stranger
// made leads to, his next program decides. O_NONBLOCK, for opening a fifo would
// wait for its writer.
func (d directory) open(name string) (*content, error) {
	f, err := linux.OpenBeneath(d.top, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symlink, or behind one: not followed", name)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &content{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

// document reads a file that is a JSON document, whole.
func document(from files, name string) ([]byte, error) {
	c, err := from.open(name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if c.Size() > registry.MaxDocument {
		return nil, fmt.Errorf("%s: %w", name, registry.ErrTooLarge)
	}
	body := make([]byte, c.Size())
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return body, nil
}

// understand decodes a JSON document that is to be what: Go's own message for
// another speaks of types in this program.
func understand(name string, text []byte, into any, what string) error {
	err := json.Unmarshal(text, into)
	var other *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &other) && other.Field != "":
		return fmt.Errorf("%s is not %s: %s in it is of type %s", name, what, other.Field, other.Value)
	case errors.As(err, &other):
		return fmt.Errorf("%s is not %s, but of type %s", name, what, other.Value)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// maxDocuments bounds what is read of all documents of an archive together before
// any image of it is looked at, in bytes: each takes time to be understood.
const maxDocuments = 64 << 20

// documents read one after another, as long as there are not too many.
type documents struct {
	files
	read int
}

func (d *documents) document(name string) ([]byte, error) {
	body, err := document(d.files, name)
	if d.read += len(body); d.read > maxDocuments {
		return nil, fmt.Errorf("manifests and configs of more than %d MiB", maxDocuments>>20)
	}
	return body, err
}

// has reports whether a file is there, whatever is in it.
func has(from files, name string) bool {
	c, err := from.open(name)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	c.Close()
	return true
}

// from opens a file at an offset, if it has this size.
func (c *content) from(name string, size, offset int64) (io.ReadCloser, error) {
	if c.Size() != size {
		c.Close()
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", registry.ErrSize, name, c.Size(), size)
	}
	if _, err := c.Seek(offset, io.SeekStart); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
