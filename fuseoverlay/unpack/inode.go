package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// modeBits are the ones of a header's mode that chmod takes.
const modeBits = 0o7777

// regular makes a file.
func (u *unpacker) regular(h *tar.Header, at place) error {
	mode := uint32(h.Mode) & modeBits
	var fd int
	err := u.make(at, func() (err error) {
		fd, err = unix.Openat(at.dir, at.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode&0o777)
		return err
	})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer unix.Close(fd)
	if err := u.content(fd, h); err != nil {
		return err
	}
	u.result.Size += h.Size
	if h.Size >= writeBackEarly {
		// Best effort: the sync at the end of the layer writes what is left.
		_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
	if err := u.dressFile(fd, h, mode); err != nil {
		return err
	}
	return setTimes(at.dir, at.base, mtimeOf(h))
}

// writeBackEarly is the size in bytes from which a file's way to the disk begins
// as soon as it is whole: the disk works while the next files are unpacked, and
// the sync of a large layer does not come as one long wait.
const writeBackEarly = 64 << 10

// content copies a file's bytes from the archive.
func (u *unpacker) content(fd int, h *tar.Header) error {
	sparse := IsSparse(h)
	for left := h.Size; left > 0; {
		part := u.buf[:min(left, bufferSize)]
		if _, err := io.ReadFull(u.tar, part); err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		var err error
		if sparse {
			err = WriteSparse(fd, part)
		} else {
			err = WriteAll(fd, part)
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		left -= int64(len(part))
	}
	if !sparse {
		return nil
	}
	// A hole at the end has only moved the offset.
	if err := unix.Ftruncate(fd, h.Size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	return nil
}

// SparseRecord and SparseValue mark a file with holes in archives of our own
// making, as archive/tar cannot write GNU's forms: in a record that every reader
// is to ignore (pax(1), extended header keywords).
const (
	SparseRecord = "comment"
	SparseValue  = "rootlet: sparse"
)

// IsSparse says that the archive has holes for this file, in GNU's old form, in
// one of its PAX forms, or in ours. Others are written as they are: what has no holes in
// the archive had none before.
func IsSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key, value := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") || key == SparseRecord && value == SparseValue {
			return true
		}
	}
	return false
}

// holeSize is the least run of zeros worth a hole: one block of most file systems.
const holeSize = 4096

// WriteSparse writes p, skipping over blocks of zeros.
func WriteSparse(fd int, p []byte) error {
	zeros := make([]byte, holeSize)
	for len(p) > 0 {
		n := min(len(p), holeSize)
		if n == holeSize && bytes.Equal(p[:n], zeros) {
			if _, err := unix.Seek(fd, holeSize, io.SeekCurrent); err != nil {
				return err
			}
		} else if err := WriteAll(fd, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// WriteAll is write(2) until all of p is written.
func WriteAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		p = p[max(n, 0):]
	}
	return nil
}

// dressFile sets owner, attributes and mode, in this order: chown drops
// capabilities and set-ID bits. What creation has already brought about is not
// done again.
func (u *unpacker) dressFile(fd int, h *tar.Header, mode uint32) error {
	own := ownerOf(h)
	if err := u.chown(fd, "", own); err != nil {
		return err
	}
	xattrs, err := u.xattrs(h)
	if err != nil {
		return err
	}
	if err := u.setXattrs(fd, xattrs); err != nil {
		return err
	}
	u.recordOwner(fd, own)
	if mode&^0o777 == 0 && mode&u.umask == 0 && len(xattrs) == 0 {
		return nil
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

// symlink makes a symlink. Its target is text and may be anything.
func (u *unpacker) symlink(h *tar.Header, at place) error {
	if h.Linkname == "" {
		return errors.New("symlink to nothing")
	}
	err := u.make(at, func() error { return unix.Symlinkat(h.Linkname, at.dir, at.base) })
	if err != nil {
		return fmt.Errorf("symlink: %w", err)
	}
	if err := u.chown(at.dir, at.base, ownerOf(h)); err != nil {
		return err
	}
	return setTimes(at.dir, at.base, mtimeOf(h))
}

// hardlink makes another name for a file of this same layer; a symlink is
// linked itself, never what it points to.
func (u *unpacker) hardlink(h *tar.Header, at place) error {
	target, err := cleanName(h.Linkname, u.limits.Path)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(h.Linkname), err)
	}
	if target == at.name {
		return errors.New("hard link to itself")
	}
	dir, base := split(target)
	from, err := openInRoot(u.root, dir)
	if err != nil {
		return fmt.Errorf("hard link to %q, which this layer does not have (before it): %w", shorten(h.Linkname), err)
	}
	defer unix.Close(from)
	// Looked at before anything is removed for its sake: linkat would say no
	// more than EPERM of a directory, and a whiteout is not a file of the layer.
	var st unix.Stat_t
	if err := unix.Fstatat(from, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("hard link to %q, which this layer does not have (before it): %w", shorten(h.Linkname), err)
	}
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFDIR || kind == unix.S_IFCHR {
		return fmt.Errorf("hard link to %q, which is no file", shorten(h.Linkname))
	}
	err = u.make(at, func() error { return unix.Linkat(from, base, at.dir, at.base, 0) })
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(h.Linkname), err)
	}
	return nil
}

// fifo makes a named pipe.
func (u *unpacker) fifo(h *tar.Header, at place) error {
	mode := uint32(h.Mode) & modeBits
	err := u.make(at, func() error { return unix.Mknodat(at.dir, at.base, unix.S_IFIFO|mode&0o777, 0) })
	if err != nil {
		return fmt.Errorf("mkfifo: %w", err)
	}
	if err := u.chown(at.dir, at.base, ownerOf(h)); err != nil {
		return err
	}
	// Fchmodat follows symlinks; this is the fifo that was just made, in a
	// directory that only this process writes to.
	if err := unix.Fchmodat(at.dir, at.base, mode, 0); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return setTimes(at.dir, at.base, mtimeOf(h))
}

// mtimeOf is the time of an entry as the kernel takes it.
func mtimeOf(h *tar.Header) unix.Timespec {
	return unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())}
}

// setTimes sets both times of a name, not following it.
func setTimes(dir int, base string, t unix.Timespec) error {
	if err := unix.UtimesNanoAt(dir, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}
