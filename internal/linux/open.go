package linux

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenBeneath opens path below dir, whether or not it begins with a slash, with
// no symlink or magic link on the way and nothing that leads out (openat2(2),
// Linux 5.6). The descriptor closes on exec.
func OpenBeneath(dir *os.File, path string, flags int, mode uint32) (*os.File, error) {
	path = strings.TrimLeft(path, "/")
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(int(dir.Fd()), path, &how)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// CloseOnExecFrom marks every descriptor from fd on, so that what a shell left
// open for us is not passed on (close_range(2) with CLOEXEC is Linux 5.11; the
// fallback reads /proc/self/fd). EPERM is what filters older than the call answer.
func CloseOnExecFrom(fd uint) error {
	err := unix.CloseRange(fd, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err != unix.ENOSYS && err != unix.EINVAL && err != unix.EPERM {
		return err
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range open {
		var n uint
		if _, err := fmt.Sscan(entry.Name(), &n); err == nil && n >= fd {
			unix.CloseOnExec(int(n))
		}
	}
	return nil
}

// ReadLink reads a symlink that is open itself, as O_PATH and O_NOFOLLOW
// (readlinkat(2), Linux 2.6.39).
func ReadLink(link *os.File) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(link.Fd()), "", buf)
	if err != nil {
		return "", fmt.Errorf("readlink: %w", err)
	}
	return string(buf[:n]), nil
}

// Descriptor is f's number. Unlike f.Fd it leaves f to the runtime's poller, so
// that deadlines and Close still end a Read.
func Descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	number := -1
	err = raw.Control(func(fd uintptr) { number = int(fd) })
	return number, err
}

// FileOf is the descriptor that a control message has brought (unix(7),
// SCM_RIGHTS), as a file that can be polled.
func FileOf(control []byte, name string) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	var fds []int
	for i := range messages {
		came, _ := unix.ParseUnixRights(&messages[i]) // another kind of message brings none
		fds = append(fds, came...)
	}
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, fmt.Errorf("%d descriptors came, not one: %w", len(fds), errors.Join(err, unix.EBADMSG))
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), name), nil
}
