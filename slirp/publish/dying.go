package publish

import (
	"time"

	"golang.org/x/sys/unix"
)

// A reset reaches the program only if its number is the next that the program's
// socket expects; else that asks back (RFC 5961, 3.2), and Linux does not answer
// in the name of an IPv4 address that is nobody's here any more. The program
// would wait for ever. So a socket with data under way, which a full receiver may
// have dropped, is not reset before they have arrived.
type dying struct {
	fd       int
	deadline time.Time
}

const (
	// dyingLimit is how long a program may leave unread what it was sent.
	dyingLimit = time.Minute
	dyingPause = 20 * time.Millisecond
	maxDying   = 256
)

// kill resets the program's side of a pair as soon as that can work.
func (s *shard) kill(fd int) {
	if !underWay(fd) || len(s.dying) >= maxDying {
		reset(fd)
		return
	}
	s.dying = append(s.dying, dying{fd, time.Now().Add(dyingLimit)})
}

// bury resets those whose data have arrived. What the program says is thrown
// away: it may not read before it is rid of it.
func (s *shard) bury() {
	alive := s.dying[:0]
	for _, d := range s.dying {
		var errno unix.Errno
		for n := 1; n > 0; {
			n, errno = receive(d.fd, s.buffer[:])
		}
		dead := errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR
		if dead || !underWay(d.fd) || time.Now().After(d.deadline) {
			reset(d.fd)
		} else {
			alive = append(alive, d)
		}
	}
	s.dying = alive
}

// underWay says that segments were sent and not acknowledged. A socket that the
// other side has reset waits for nothing.
func underWay(fd int) bool {
	const tcpClose = 7 // TCP_CLOSE of the kernel's tcp_states.h
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.Unacked > 0 && info.State != tcpClose
}
