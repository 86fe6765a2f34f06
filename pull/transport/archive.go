package transport

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Limits of an archive. An image of 500 layers has some 1500 members in the
// oldest format.
const (
	maxMembers = 100_000
	maxLinks   = 8    // from a member to what it stands for
	maxName    = 4096 // bytes, as PATH_MAX; a tar can have a mebibyte for each
)

// archive is files in a tar archive, which is read once for its table of
// members; after that any of them is read where it lies.
type archive struct {
	file    *os.File
	members map[string]member
}

// member is where a file's content lies, or what it is a link to.
type member struct {
	offset, size int64
	link         string // the name of another; "" for a file
	sparse       bool
}

func readArchive(f *os.File) (*archive, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	a := &archive{f, map[string]member{}}
	r := tar.NewReader(f) // which seeks over what it does not read
	for begun := false; ; {
		h, err := r.Next()
		if err == io.EOF {
			return a, nil
		}
		switch {
		case errors.Is(err, tar.ErrHeader) && !begun, errors.Is(err, io.ErrUnexpectedEOF) && !begun:
			return nil, errNoTar
		case err != nil:
			return nil, fmt.Errorf("archive: %w", err)
		}
		begun = true
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := a.add(h, at, info.Size()); err != nil {
			return nil, err
		}
	}
}

// add takes a member into the table. One name is one content: of two, one
// program would read the first and another the second.
func (a *archive) add(h *tar.Header, offset, end int64) error {
	if max(len(h.Name), len(h.Linkname)) > maxName {
		return fmt.Errorf("archive: a member's name is longer than %d bytes", maxName)
	}
	m := member{offset: offset, size: h.Size}
	name := clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Size > end-offset {
			return fmt.Errorf("archive: %q ends early: it says that it has %d bytes", h.Name, h.Size)
		}
	case tar.TypeGNUSparse:
		m.sparse = true
	case tar.TypeSymlink:
		// Old versions of docker save had a layer that came twice be a link.
		m = member{link: clean(path.Join(path.Dir(name), h.Linkname))}
		if path.IsAbs(h.Linkname) {
			m.link = clean(h.Linkname)
		}
	case tar.TypeLink:
		m = member{link: clean(h.Linkname)}
	default:
		return nil // directories; and what nothing here is kept in
	}
	for key := range h.PAXRecords {
		m.sparse = m.sparse || strings.HasPrefix(key, "GNU.sparse.")
	}
	if _, twice := a.members[name]; twice {
		return fmt.Errorf("archive: %q is in it twice", h.Name)
	}
	if len(a.members) == maxMembers {
		return fmt.Errorf("archive: more than %d members", maxMembers)
	}
	a.members[name] = m
	return nil
}

// clean is the one spelling of a member's name. What would lead out of the
// archive leads to its top.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

func (a *archive) open(name string) (*content, error) {
	m, there := a.members[clean(name)]
	for range maxLinks {
		if !there || m.link == "" {
			break
		}
		m, there = a.members[m.link]
	}
	switch {
	case !there:
		return nil, fmt.Errorf("%q is not in the archive: %w", name, fs.ErrNotExist)
	case m.link != "":
		return nil, fmt.Errorf("archive: %q: too many links", name)
	case m.sparse:
		return nil, fmt.Errorf("archive: %q is a sparse file, in which no image is kept", name)
	}
	return &content{io.NewSectionReader(a.file, m.offset, m.size), nil}, nil
}

func (a *archive) Close() error { return a.file.Close() }

// errNoTar is what a file is that does not begin like an archive.
var errNoTar = errors.New("is no image archive, which is a tar as docker save or skopeo make it, plain or compressed with gzip, zstd, xz or bzip2")

// errNoArchive is what an archive is of something else.
var errNoArchive = errors.New("is no image archive: it has neither index.json nor manifest.json")
