package slirp

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// givenAtOnce is how many descriptors travel in one message; the kernel takes 253
// (unix(7), SCM_RIGHTS).
const givenAtOnce = 200

// give sends descriptors over a stream socket, and a text, and ends that: a shutdown is
// seen whoever has the socket besides, and a clone of the monitor's may. Descriptors come
// with blanks, before the text.
func give(to *os.File, text []byte, files []*os.File) error {
	socket, err := linux.Descriptor(to)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(files, givenAtOnce) {
		var fds []int
		for _, f := range some {
			fd, err := linux.Descriptor(f)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
		}
		if err := unix.Sendmsg(socket, []byte{' '}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); err != nil {
			return err
		}
	}
	if len(text) > 0 {
		if _, err := to.Write(text); err != nil {
			return err
		}
	}
	return unix.Shutdown(socket, unix.SHUT_WR)
}

// take waits for what give sends, to its end.
func take(from int) (text []byte, fds []int, err error) {
	some, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*givenAtOnce))
	for {
		n, rightsLen, flags, _, err := unix.Recvmsg(from, some, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, nil, err
		case flags&unix.MSG_CTRUNC != 0:
			return nil, nil, fmt.Errorf("descriptors are lost: %w", unix.EMFILE)
		case n == 0:
			return text, fds, nil
		}
		text = append(text, some[:n]...)
		messages, err := unix.ParseSocketControlMessage(rights[:rightsLen])
		if err != nil {
			return nil, nil, err
		}
		for i := range messages {
			came, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return nil, nil, err
			}
			fds = append(fds, came...)
		}
	}
}
