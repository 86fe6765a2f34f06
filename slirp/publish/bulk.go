package publish

import (
	"golang.org/x/sys/unix"
)

// Where reads fill the buffer, the kernel moves the data (splice(2)): for a
// stream it takes two thirds of the time, for a request it is one call more.

// A conduit is the pipe that splice needs between two sockets.
type conduit struct{ read, write int }

const (
	// conduitSize is what is moved at once. A user's pipes share 64 MiB
	// (pipe-user-pages-soft, pipe(7)); beyond that they stay at 64 KiB.
	conduitSize = 1 << 20
	// bulkEnds is below what a stream moves at a time, in bytes.
	bulkEnds = bufferSize / 4
)

// conduit gives an empty pipe: the last one, unless a slow reader has kept it.
func (s *shard) conduit() (conduit, error) {
	if n := len(s.conduits); n > 0 {
		c := s.conduits[n-1]
		s.conduits = s.conduits[:n-1]
		return c, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return conduit{}, err
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, conduitSize)
	return conduit{fds[0], fds[1]}, nil
}

// giveBack keeps one pipe for the next stream.
func (s *shard) giveBack(c conduit) {
	if len(s.conduits) > 0 {
		c.close()
		return
	}
	s.conduits = append(s.conduits, c)
}

func (c conduit) close() {
	_ = unix.Close(c.read)
	_ = unix.Close(c.write)
}

// transferBulk is transfer without the data passing through here.
func (s *shard) transferBulk(from, to *side) bool {
	c, err := s.conduit()
	if err != nil {
		from.bulk = false // EMFILE: it goes without
		return true
	}
	n, errno := splice(from.fd, c.write, conduitSize)
	switch {
	case n > 0:
		from.bulk = n >= bulkEnds
		to.conduit, to.inConduit = c, n
		return s.flushConduit(to)
	case errno == unix.EAGAIN:
		from.readable, from.bulk = false, false
	case errno == 0:
		from.ended = true
	case errno == unix.EINVAL || errno == unix.ENOSYS:
		s.noSplice = true
	}
	s.giveBack(c)
	return errno == 0 || errno == unix.EAGAIN || errno == unix.EINTR || s.noSplice
}

// flushConduit writes what is in the pipe, and says whether the connection is well.
func (s *shard) flushConduit(to *side) bool {
	for to.inConduit > 0 {
		n, errno := splice(to.conduit.read, to.fd, to.inConduit)
		if errno == unix.EAGAIN {
			to.blocked = true
			return true
		}
		if errno != 0 && errno != unix.EINTR || errno == 0 && n == 0 {
			return false
		}
		to.inConduit -= n
	}
	s.giveBack(to.conduit)
	to.conduit = conduit{}
	return true
}

func splice(from, to, size int) (int, unix.Errno) {
	const flags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
	n, _, errno := unix.Syscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(size), flags)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
