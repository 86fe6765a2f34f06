package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/unpack"
)

// file makes a regular file.
func (x *extraction) file(at place, h *tar.Header) error {
	fd, err := unix.Openat(at.dir, at.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer unix.Close(fd)
	if x.options.OwnLinks {
		x.brought[at.name] = true
	}
	if err := x.content(fd, h); err != nil {
		return err
	}
	return x.dress(fd, h)
}

// content copies a file's bytes from the archive.
func (x *extraction) content(fd int, h *tar.Header) error {
	write, sparse := unpack.WriteAll, unpack.IsSparse(h)
	if sparse {
		write = unpack.WriteSparse
	}
	for left := h.Size; left > 0; {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		part := x.buf[:min(left, bufferSize)]
		if _, err := io.ReadFull(x.tar, part); err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := write(fd, part); err != nil {
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

// dress gives an open file or directory its owner, attributes, mode and times,
// in this order: chown drops capabilities and set-ID bits.
func (x *extraction) dress(fd int, h *tar.Header) error {
	if err := x.chown(fd, h); err != nil {
		return err
	}
	if err := x.setXattrs(fd, h); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)&modeBits&x.options.Modes); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return setTimes(fd, h)
}

func (x *extraction) chown(fd int, h *tar.Header) error {
	if x.options.RecordOwners && (h.Uid != 0 || h.Gid != 0) {
		_ = unpack.RecordOwner(fd, h.Uid, h.Gid) // not every file system can
	}
	if x.options.Owner == nil {
		return nil
	}
	uid, gid, err := x.options.Owner(h)
	if err != nil {
		return err
	}
	if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", h.Uid, h.Gid, err)
	}
	return nil
}

// setXattrs sets what can be set. Capabilities go with the set-ID bits: where
// those are nobody's to bring, these are not either.
func (x *extraction) setXattrs(fd int, h *tar.Header) error {
	list, skipped, err := unpack.Xattrs(h)
	if err != nil {
		return err
	}
	x.result.Xattrs += skipped
	for _, a := range list {
		if x.options.Modes&unix.S_ISUID == 0 && !strings.HasPrefix(a.Name, "user.") {
			continue
		}
		if unix.Fsetxattr(fd, a.Name, a.Value, 0) != nil {
			x.result.Xattrs++
		}
	}
	return nil
}

// setTimes sets the times of what is open, and of nothing else: by descriptor
// where that is O_PATH too (Linux 5.8), else through /proc.
func setTimes(fd int, h *tar.Header) error {
	t := unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())}
	if err := utimensEmpty(fd, t); err == nil {
		return nil
	}
	err := unix.UtimesNanoAt(unix.AT_FDCWD, fdPath(fd), []unix.Timespec{t, t}, 0)
	if err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

func utimensEmpty(fd int, t unix.Timespec) error {
	return unix.UtimesNanoAt(fd, "", []unix.Timespec{t, t}, unix.AT_EMPTY_PATH)
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// dressNode does so for a symlink or a pipe, which cannot be opened, or must not
// be. Whoever can write to the directory may have put something else in its
// place by now: that is then left alone.
func (x *extraction) dressNode(at place, h *tar.Header, kind uint32) error {
	fd, err := unix.Openat(at.dir, at.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if Vanished(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != kind || st.Nlink != 1 {
		return err
	}
	if err := x.chown(fd, h); err != nil {
		return err
	}
	if kind == unix.S_IFLNK {
		// Before Linux 5.8 a symlink keeps the time at which it was made.
		_ = utimensEmpty(fd, unix.NsecToTimespec(h.ModTime.UnixNano()))
		return nil
	}
	if err := unix.Chmod(fdPath(fd), uint32(h.Mode)&modeBits&x.options.Modes); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return setTimes(fd, h)
}

// finishDirs gives the directories their attributes, the last one first, so that
// none is touched after it has its time. One that is gone is nobody's loss.
func (x *extraction) finishDirs() error {
	x.forget()
	for i := len(x.dirs) - 1; i >= 0; i-- {
		d := x.dirs[i]
		if err := x.finishDir(d); err != nil && !Vanished(err) {
			return fmt.Errorf("directory %q: %w", d.name, err)
		}
	}
	return nil
}

func (x *extraction) finishDir(d pendingDir) error {
	above, err := x.lookUp(path.Dir(d.name))
	if err != nil {
		return err
	}
	defer unix.Close(above)
	fd, err := unix.Openat(above, path.Base(d.name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return x.dress(fd, d.header)
}
