package sockdiag

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// AbortLost breaks the TCP connections in a network namespace whose other end is not in
// it, too: a connection within the container, or to one who forwards a port into it, has
// lost nothing. It takes CAP_NET_ADMIN over the namespace. One that is still being made
// goes on by itself.
//
// The caller is linux.InNetwork's.
func AbortLost(netns *os.File) error {
	return linux.InNetwork(int(netns.Fd()), abortHere)
}

func abortHere() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd)
	var all []connection
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		of, err := dump(fd, family)
		if err != nil {
			return fmt.Errorf("list connections: %w", err)
		}
		all = append(all, of...)
	}
	var errs []error
	for _, c := range lost(all) {
		if err := c.destroy(fd); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("end the connection to %v: %w", c.remote, err))
		}
	}
	return errors.Join(errs...)
}

// lost are those whose other end is none of all.
func lost(all []connection) []connection {
	here := map[ends]bool{}
	for _, c := range all {
		here[c.ends] = true
	}
	var list []connection
	for _, c := range all {
		if !here[ends{c.remote, c.local}] {
			list = append(list, c)
		}
	}
	return list
}
