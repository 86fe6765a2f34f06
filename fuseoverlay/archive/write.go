package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
	"rootlet/fuseoverlay/unpack"
	"rootlet/internal/linux"
)

// WriteOptions says how a tree is described.
type WriteOptions struct {
	// UID and GID translate owners; nil keeps them.
	UID, GID func(uint32) uint32
	// RecordedOwners takes a file's owner from where unpacking with one id has
	// left it.
	RecordedOwners bool
	// SkipKernel leaves out what is in file systems of the kernel's own, such as
	// /proc: their files are no files.
	SkipKernel bool
}

// Writer writes one archive.
type Writer struct {
	options WriteOptions
	ctx     context.Context
	tar     *tar.Writer
	links   map[inode]string // first names of files with several
	buf     []byte
}

type inode struct{ device, number uint64 }

// bufferSize is that of the copies, in bytes.
const bufferSize = 256 << 10

// NewWriter begins an archive. A cancelled ctx ends it with the next block.
func NewWriter(ctx context.Context, to io.Writer, o WriteOptions) *Writer {
	return &Writer{options: o, ctx: ctx, tar: tar.NewWriter(to), links: map[inode]string{}, buf: make([]byte, bufferSize)}
}

// Close writes the end of the archive.
func (w *Writer) Close() error { return w.tar.Close() }

// Header writes an entry that is not on any disk, a whiteout mostly.
func (w *Writer) Header(h *tar.Header) error { return w.tar.WriteHeader(h) }

// Tree writes what is open, O_PATH, as at, and all that is in it, as name. What
// goes away meanwhile is left out.
func (w *Writer) Tree(at *os.File, name string) error {
	isDir, err := w.Opened(at, name)
	if err != nil || !isDir {
		return err
	}
	fd, err := unix.Openat(int(at.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer unix.Close(fd)
	if w.options.SkipKernel && IsKernelFS(fd) {
		return nil
	}
	names, err := tree.ReadNames(fd)
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	slices.Sort(names)
	for _, base := range names {
		child, err := open(fd, base, path.Join(name, base))
		if err != nil || child == nil {
			if err != nil {
				return err
			}
			continue
		}
		err = w.Tree(child, path.Join(name, base))
		child.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens base in the directory dir, O_PATH; nil says that it is gone.
func open(dir int, base, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if Vanished(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Entry writes base in the directory dir as name, and nothing that is in it.
func (w *Writer) Entry(dir int, base, name string) error {
	at, err := open(dir, base, name)
	if err != nil || at == nil {
		return err
	}
	defer at.Close()
	_, err = w.Opened(at, name)
	return err
}

// Opened writes what is open, O_PATH, as at, and nothing that is in it.
func (w *Writer) Opened(at *os.File, name string) (isDir bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return false, fmt.Errorf("stat %q: %w", name, err)
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFSOCK {
		return false, nil // an archive has no word for it
	}
	if err := w.entry(at, name, &st); err != nil {
		return false, fmt.Errorf("archive %q: %w", name, err)
	}
	return kind == unix.S_IFDIR, nil
}

// entry writes what is open, O_PATH, as at. From here on it cannot become
// another file.
func (w *Writer) entry(at *os.File, name string, st *unix.Stat_t) error {
	h, err := w.describe(name, st)
	if err != nil {
		return err
	}
	if first, linked := w.links[inode{st.Dev, st.Ino}]; linked && st.Nlink > 1 && h.Typeflag != tar.TypeDir {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		delete(h.PAXRecords, unpack.SparseRecord)
		return w.tar.WriteHeader(h)
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		if h.Linkname, err = linux.ReadLink(at); err != nil {
			return err
		}
	case tar.TypeReg, tar.TypeDir:
		return w.opened(at, name, h, st)
	}
	w.remember(name, st)
	return w.tar.WriteHeader(h)
}

func (w *Writer) remember(name string, st *unix.Stat_t) {
	if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.links[inode{st.Dev, st.Ino}] = name
	}
}

// opened writes a file or directory, which is safe to be opened for reading:
// through /proc, so that it is the very one that was looked at.
func (w *Writer) opened(at *os.File, name string, h *tar.Header, st *unix.Stat_t) error {
	fd, err := unix.Open(linux.FDPath(at), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := w.addXattrs(h, int(f.Fd())); err != nil {
		return err
	}
	w.remember(name, st)
	if err := w.tar.WriteHeader(h); err != nil || h.Typeflag == tar.TypeDir {
		return err
	}
	return w.content(f, h.Size)
}

// content writes exactly size bytes: a file that has grown is cut, and one that
// has shrunk filled up with zeros, as tar(1) does.
func (w *Writer) content(f *os.File, size int64) error {
	ended := false
	for left := size; left > 0; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		part := w.buf[:min(left, bufferSize)]
		if !ended {
			n, err := io.ReadFull(f, part)
			ended = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if err != nil && !ended {
				return err
			}
			clear(part[n:])
		} else {
			clear(part)
		}
		if _, err := w.tar.Write(part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	return nil
}

// Vanished says that a name was there a moment ago, or turned into something
// else: a container at work.
func Vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// IsKernelFS says that a directory shows the kernel's own state, not files.
func IsKernelFS(dir int) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(dir, &st); err != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEVPTS_SUPER_MAGIC, mqueueMagic, unix.SECURITYFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.BPF_FS_MAGIC:
		return true
	}
	return false
}

// mqueueMagic is MQUEUE_MAGIC of ipc/mqueue.c, which the kernel's headers do not
// show.
const mqueueMagic = 0x19800202
