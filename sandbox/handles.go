package sandbox

import (
	"os"

	"golang.org/x/sys/unix"
)

// handles are descriptors for a process that is to be cloned, all of them above
// the numbers that it gives to others itself.
type handles []int

// aboveAll is the lowest number of a handle.
const aboveAll = 16

// add takes over a descriptor that a call has just returned, with its error.
func (h *handles) add(fd int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	if fd < aboveAll {
		low := fd
		fd, err = unix.FcntlInt(uintptr(low), unix.F_DUPFD_CLOEXEC, aboveAll)
		unix.Close(low)
		if err != nil {
			return -1, err
		}
	}
	*h = append(*h, fd)
	return fd, nil
}

// addFile takes over a file.
func (h *handles) addFile(f *os.File, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return h.add(unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, aboveAll))
}

// reserve keeps a number for the process to use.
func (h *handles) reserve() (int, error) {
	return h.add(unix.Open(os.DevNull, unix.O_PATH|unix.O_CLOEXEC, 0))
}

func (h *handles) close() {
	for _, fd := range *h {
		unix.Close(fd)
	}
	*h = nil
}
