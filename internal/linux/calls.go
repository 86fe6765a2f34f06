package linux

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// RefusedCalls asks for the system calls that nothing stands in for, and returns an error
// for each that the kernel has not, or that a filter around this process refuses: openat2
// (Linux 5.6), pidfd_open (5.3) and memfd_create (3.17).
func RefusedCalls() (refused []error) {
	for _, call := range []struct {
		name string
		try  func() (int, error)
	}{
		{"openat2", func() (int, error) {
			return unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
		}},
		{"pidfd_open", func() (int, error) { return unix.PidfdOpen(unix.Getpid(), 0) }},
		{"memfd_create", func() (int, error) { return unix.MemfdCreate("probe", unix.MFD_CLOEXEC) }},
	} {
		fd, err := call.try()
		switch err {
		case nil:
			unix.Close(fd)
		case unix.ENOSYS, unix.EPERM:
			refused = append(refused, fmt.Errorf("%s: %w", call.name, err))
		}
	}
	return refused
}
