// Package unpack turns one layer, as an uncompressed tar stream, into a
// directory that an overlay can use as a lower layer.
//
// It is hardened for archives that nobody vouches for: every path is resolved
// by the kernel inside the layer's root (openat2 with RESOLVE_IN_ROOT), no path
// is ever joined to an absolute one, nothing is followed on the last component,
// device nodes are never made, and what an archive may cost is limited.
//
// It does not decompress, does not check digests, does not sync, and knows
// nothing of stores and parents: fuseoverlay does the last two, pull the others.
// It runs in the process that pulls, in U1, as uid 0 there; with Options.OneID
// it also works as an ordinary user with no capability at all.
package unpack

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Options says how to unpack.
type Options struct {
	// Limits bounds what the archive may cost; zero fields take the default.
	Limits Limits
	// OneID says that only one id is mapped here: owners cannot be kept, so they
	// are left in the xattr user.rootlet.owner (best effort) and every file
	// belongs to the caller.
	OneID bool
}

// Result says what came of a layer.
type Result struct {
	// Size is the sum of the sizes of the regular files, in bytes.
	Size int64
	// Entries counts the members of the archive.
	Entries int
	// Implied lists the directories that had to be made for the sake of what is
	// in them, without an entry of their own, deepest first; "." is the root.
	// They should look as in the layer below.
	Implied []string
	// SkippedDevices counts device nodes, which cannot be made in a user
	// namespace and which a container gets from its own /dev.
	SkippedDevices int
	// SkippedXattrs counts attributes that are not for images to set, or that
	// this file system cannot hold.
	SkippedXattrs int
}

// bufferSize is that of the read-ahead and of the copies, in bytes: most files
// of a distribution fit in it and so are written with one call.
const (
	readAhead  = 256 << 10
	bufferSize = 1 << 20
)

// Unpack reads the archive r to its very end, padding included, and makes its
// files in the directory that the descriptor root refers to, which must be
// empty and on a file system of the caller's. A cancelled ctx ends it with the
// next read. On an error the directory holds whatever was made so far.
func Unpack(ctx context.Context, r io.Reader, root int, opts Options) (*Result, error) {
	in := &source{ctx: ctx, r: r}
	u := &unpacker{
		in:     bufio.NewReaderSize(in, readAhead),
		root:   root,
		opts:   opts,
		limits: opts.Limits.orDefaults(),
		umask:  currentUmask(),
		dirs:   map[string]*directory{},
		parent: cachedDir{fd: -1},
		buf:    make([]byte, bufferSize),
	}
	in.limit = u.limits.Stream
	defer u.forgetParent()
	if err := u.prepareRoot(); err != nil {
		return nil, err
	}
	if err := u.entries(); err != nil {
		return nil, err
	}
	if err := u.finishDirs(); err != nil {
		return nil, err
	}
	// What follows the archive's end belongs to the layer's digest.
	if _, err := io.Copy(io.Discard, u.in); err != nil {
		return nil, fmt.Errorf("read layer: %w", err)
	}
	// A pointer into u would keep its buffers for as long as the result is kept,
	// which is to the end of a pull: a megabyte for each of 500 layers.
	result := u.result
	return &result, nil
}

// unpacker holds what one call of Unpack knows.
type unpacker struct {
	in     *bufio.Reader
	tar    *tar.Reader
	root   int
	opts   Options
	limits Limits
	umask  uint32
	dirs   map[string]*directory // by cleaned name
	parent cachedDir
	buf    []byte
	mtime  unix.Timespec // of the entry at hand
	result Result
}

// prepareRoot takes from the root what files in it would inherit: a group by
// its set-group-ID bit, and a default ACL.
func (u *unpacker) prepareRoot() error {
	if err := unix.Fchmod(u.root, dirModeWhileUnpacking); err != nil {
		return fmt.Errorf("chmod layer root: %w", err)
	}
	_ = unix.Fremovexattr(u.root, "system.posix_acl_default")
	u.dirs["."] = u.implied()
	return nil
}

// entries makes every member of the archive.
func (u *unpacker) entries() error {
	u.tar = tar.NewReader(u.in)
	for {
		h, err := u.tar.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		u.result.Entries++
		if u.result.Entries > u.limits.Entries {
			return &LimitError{Key: keyEntries, What: "entries", Max: int64(u.limits.Entries)}
		}
		if err := u.entry(h); err != nil {
			return fmt.Errorf("entry %q: %w", shorten(h.Name), err)
		}
	}
}

// entry makes one member of the archive.
func (u *unpacker) entry(h *tar.Header) error {
	if err := u.check(h); err != nil {
		return err
	}
	u.mtime = mtimeOf(h)
	name, err := cleanName(h.Name, u.limits.Path)
	if err != nil {
		return err
	}
	kind, base, err := classify(name)
	if err != nil || kind == entryIgnored {
		return err
	}
	switch h.Typeflag {
	case tar.TypeChar, tar.TypeBlock:
		if kind == entryPlain {
			u.result.SkippedDevices++
			return nil
		}
	case tar.TypeXGlobalHeader:
		return nil
	}
	if name == "." {
		return u.rootEntry(h)
	}
	dir, _ := split(name)
	fd, err := u.openParent(dir)
	if err != nil {
		return err
	}
	at := place{name: name, dir: fd, base: base}
	switch kind {
	case entryOpaque:
		u.dirAt(dir).opaque = true
		return nil
	case entryWhiteout:
		return u.whiteout(at)
	}
	return u.create(h, at)
}

// create makes one member that is neither a whiteout nor the root.
func (u *unpacker) create(h *tar.Header, at place) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return u.regular(h, at)
	case tar.TypeDir:
		return u.directory(h, at)
	case tar.TypeSymlink:
		return u.symlink(h, at)
	case tar.TypeLink:
		return u.hardlink(h, at)
	case tar.TypeFifo:
		return u.fifo(h, at)
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
}

// rootEntry is "./": it says how the container's / looks.
func (u *unpacker) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return errors.New("the root of a layer must be a directory")
	}
	d := u.dirAt(".")
	return d.describe(u, h)
}

// place is where an entry goes: base in the directory dir. name is the whole
// cleaned name, for the records.
type place struct {
	name string
	dir  int
	base string
}

// make tries to create what make creates, and once more after whatever was
// there under that name before has been removed: a later entry of an archive
// replaces an earlier one.
func (u *unpacker) make(at place, create func() error) error {
	err := create()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := u.clear(at); err != nil {
		return err
	}
	return create()
}

// shorten keeps error messages readable.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// source stops reading when its context is cancelled, or when more has been
// read than a layer may have.
type source struct {
	ctx   context.Context
	r     io.Reader
	limit int64
	read  int64
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	if s.read > s.limit {
		return n, &LimitError{Key: keySize, What: "bytes of the archive", Max: s.limit}
	}
	return n, err
}
