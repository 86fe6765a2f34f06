package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// ExtractOptions says how files are made of an archive.
type ExtractOptions struct {
	// Root is what is / for a symlink in the middle of a name, and At the path in
	// it of the directory that is extracted to. Without Root such a name is
	// refused.
	Root *os.File
	At   string
	// Owner says whom an entry goes to; nil leaves it to the caller of Extract.
	Owner func(h *tar.Header) (uid, gid int, err error)
	// RecordOwners keeps an entry's owner in mind, for who has one id only.
	RecordOwners bool
	// Modes are the permission bits that an entry may have.
	Modes uint32
	// OwnLinks allows hard links only to what the archive itself has brought.
	OwnLinks bool
}

// Extracted says what came of an archive.
type Extracted struct {
	Devices int // device nodes, which nobody may make in a user namespace
	Xattrs  int // attributes that cannot be had here
}

// Extract makes the files of an uncompressed archive in the directory open as
// dir, in addition to what is there; a file takes the place of another, but no
// directory that of a file, or the other way round.
func Extract(ctx context.Context, r io.Reader, dir int, o ExtractOptions) (Extracted, error) {
	x := &extraction{
		ctx: ctx, tar: tar.NewReader(r), dir: dir, options: o, brought: map[string]bool{}, parent: -1,
		buf: make([]byte, bufferSize),
	}
	defer x.forget()
	err := x.entries()
	if err == nil {
		err = x.finishDirs()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, r) // or the other side would take us for dead
	}
	return x.result, err
}

// extraction is one call of Extract.
type extraction struct {
	ctx     context.Context
	tar     *tar.Reader
	dir     int
	options ExtractOptions
	result  Extracted
	brought map[string]bool // names of files, under OwnLinks
	dirs    []pendingDir    // in the order in which they came
	buf     []byte

	parent     int // the directory of the last entry, or -1
	parentName string
}

// pendingDir is a directory that gets its attributes when all else is there.
type pendingDir struct {
	name   string
	header *tar.Header
}

func (x *extraction) entries() error {
	for {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		h, err := x.tar.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := x.entry(h); err != nil {
			return err
		}
	}
}

func (x *extraction) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return fmt.Errorf("entry %q of the archive: only a directory can be the top", h.Name)
		}
		return nil // what is extracted to keeps its own looks
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= math.MaxUint32 || int64(h.Gid) >= math.MaxUint32 || h.Size < 0 {
		return fmt.Errorf("%q: owner %d:%d is no valid id", name, h.Uid, h.Gid)
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		x.result.Devices++
		return nil
	}
	dir, err := x.openParent(path.Dir(name), h)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	if err := x.create(place{name: name, dir: dir, base: path.Base(name)}, h); err != nil {
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			return err
		}
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// cleanName makes an entry's name relative to the directory that is extracted
// to. It only shapes the text; that no symlink leads away is openParent's work.
func cleanName(name string) (string, error) {
	if len(name) >= unix.PathMax {
		return "", fmt.Errorf("entry %q... of the archive: name too long", name[:40])
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
		return "", fmt.Errorf("entry %q of the archive leads outside", name)
	}
	return clean, nil
}

// place is where an entry goes: base in the directory dir.
type place struct {
	name string
	dir  int
	base string
}

// ConflictError refuses to put a directory in the place of a file, or the other
// way round.
type ConflictError struct {
	Name  string
	IsDir bool // what is there
}

func (e *ConflictError) Error() string {
	if e.IsDir {
		return fmt.Sprintf("cannot overwrite directory %q with non-directory", e.Name)
	}
	return fmt.Sprintf("cannot overwrite non-directory %q with directory", e.Name)
}

// races bounds how often a name is tried anew that someone else keeps making.
const races = 16

// create makes room for an entry, and makes it.
func (x *extraction) create(at place, h *tar.Header) error {
	isDir := h.Typeflag == tar.TypeDir
	for range races {
		var st unix.Stat_t
		err := unix.Fstatat(at.dir, at.base, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("stat: %w", err)
		}
		there, thereIsDir := err == nil, st.Mode&unix.S_IFMT == unix.S_IFDIR
		switch {
		case there && thereIsDir != isDir:
			return &ConflictError{Name: at.name, IsDir: thereIsDir}
		case there && isDir:
			x.dirs = append(x.dirs, pendingDir{at.name, h})
			return nil
		case there:
			if err := unix.Unlinkat(at.dir, at.base, 0); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("replace: %w", err)
			}
		}
		if err := x.make(at, h); !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return errors.New("somebody else keeps making it, too")
}

// make makes an entry where nothing is.
func (x *extraction) make(at place, h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return x.file(at, h)
	case tar.TypeDir:
		if err := unix.Mkdirat(at.dir, at.base, 0o700); err != nil {
			return fmt.Errorf("mkdir: %w", err)
		}
		x.dirs = append(x.dirs, pendingDir{at.name, h})
		return nil
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, at.dir, at.base); err != nil {
			return fmt.Errorf("symlink: %w", err)
		}
		return x.dressNode(at, h, unix.S_IFLNK)
	case tar.TypeFifo:
		if err := unix.Mkfifoat(at.dir, at.base, 0o600); err != nil {
			return fmt.Errorf("mkfifo: %w", err)
		}
		return x.dressNode(at, h, unix.S_IFIFO)
	case tar.TypeLink:
		return x.link(at, h)
	}
	return fmt.Errorf("unknown type %q in the archive", h.Typeflag)
}

// link makes a hard link; a symlink is linked itself.
func (x *extraction) link(at place, h *tar.Header) error {
	target, err := cleanName(h.Linkname)
	if err != nil {
		return err
	}
	if x.options.OwnLinks && !x.brought[target] {
		return fmt.Errorf("hard link to %q, which the archive does not have before it", target)
	}
	dir, err := x.lookUp(path.Dir(target))
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", target, err)
	}
	defer unix.Close(dir)
	if err := unix.Linkat(dir, path.Base(target), at.dir, at.base, 0); err != nil {
		return fmt.Errorf("hard link to %q: %w", target, err)
	}
	return nil
}
