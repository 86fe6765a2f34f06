package tree

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// content copies a file's bytes the cheapest way that works here: sharing the
// blocks (btrfs, XFS, bcachefs), else within the kernel, else by hand. Holes
// stay holes.
func (c *Copier) content(from, to int, st *unix.Stat_t) error {
	if st.Size == 0 {
		return nil
	}
	if !c.noReflink {
		if unix.IoctlFileClone(to, from) == nil {
			return nil
		}
		c.noReflink = true
	}
	if err := unix.Ftruncate(to, st.Size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	for offset := int64(0); offset < st.Size; {
		start, end, err := nextData(from, offset, st.Size)
		if err != nil {
			return err
		}
		if err := c.extent(from, to, start, end-start); err != nil {
			return fmt.Errorf("copy contents: %w", err)
		}
		offset = end
	}
	return nil
}

// nextData finds the next stretch of a file that is no hole.
func nextData(fd int, offset, size int64) (start, end int64, err error) {
	start, err = unix.Seek(fd, offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size, nil // nothing but a hole follows
	}
	if err != nil {
		return 0, 0, fmt.Errorf("seek: %w", err)
	}
	if end, err = unix.Seek(fd, start, unix.SEEK_HOLE); err != nil {
		return 0, 0, fmt.Errorf("seek: %w", err)
	}
	return start, end, nil
}

// extent copies n bytes at an offset.
func (c *Copier) extent(from, to int, offset, n int64) error {
	in, out := offset, offset
	for !c.noCopy && n > 0 {
		const most = 1 << 30
		done, err := unix.CopyFileRange(from, &in, to, &out, int(min(n, most)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && !isUnsupported(err) {
			return err
		}
		if err != nil || done == 0 {
			c.noCopy = true
			break
		}
		n -= int64(done)
	}
	if n == 0 {
		return nil
	}
	return copyByHand(from, to, in, n)
}

// isUnsupported says that copy_file_range(2) is not for these file systems.
func isUnsupported(err error) bool {
	return errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOSYS) ||
		errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM)
}

// copyByHand reads and writes.
func copyByHand(from, to int, offset, n int64) error {
	source, err := duplicate(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := duplicate(to)
	if err != nil {
		return err
	}
	defer target.Close()
	if _, err := target.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(target, io.NewSectionReader(source, offset, n))
	return err
}

func duplicate(fd int) (*os.File, error) {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), "file"), nil
}
