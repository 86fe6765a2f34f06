package publish

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// arrival is a client that was accepted and is not connected to the container.
type arrival struct {
	fd   int
	name unix.Sockaddr
	port *tcpPort
}

// acceptBatch is how many clients are taken before those that are there get
// their turn.
const acceptBatch = 16

func (s *shard) accept(port *tcpPort) {
	for range acceptBatch {
		fd, name, err := unix.Accept4(port.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case err == nil:
			if a := (arrival{fd, name, port}); !s.connect(a) {
				s.waiting = append(s.waiting, a)
				s.pause(port, unix.EMFILE)
				return
			}
		case err == unix.EAGAIN:
			return
		case scarce(err):
			s.pause(port, err)
			return
		}
		// Else the client is gone already (accept(2): ECONNABORTED and network errors).
	}
}

// scarce says that an error goes when others close something.
func scarce(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
}

// pause stops a port for a while: connections end, and then it goes on.
func (s *shard) pause(port *tcpPort, err error) {
	s.tcp.reported.once("accept", fmt.Errorf("port %s/%s waits: %w", port.bound.host(), TCP, err))
	if unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, port.fd, nil) == nil {
		s.paused = append(s.paused, port)
		s.resume = time.Now().Add(acceptPause)
	}
}

// connect leads a client to the container, and says whether that is settled or
// must be tried later. A client whom the container does not want is reset, as it
// would be without us.
func (s *shard) connect(a arrival) bool {
	program, err := s.tcp.dial(newSocket, addrPort(a.name), a.port.bound)
	if scarce(err) {
		return false
	}
	if err != nil {
		reset(a.fd)
		return true
	}
	_ = setTCP(program, unix.TCP_NODELAY, 1)
	to := s.tcp.choose()
	if to == nil || to.add(a.fd, program) != nil {
		reset(a.fd)
		reset(program)
	}
	return true
}

// resumePaused tries again what no descriptor was free for.
func (s *shard) resumePaused() {
	s.resume = time.Now().Add(acceptPause)
	for len(s.waiting) > 0 {
		if !s.connect(s.waiting[0]) {
			return
		}
		s.waiting = s.waiting[1:]
	}
	paused := s.paused
	s.paused = nil
	for _, port := range paused {
		if err := s.watch(port.fd, tag{slot: s.listenerSlot(port)}, unix.EPOLLIN); err != nil {
			s.paused = append(s.paused, port)
		}
	}
}

func (s *shard) listenerSlot(port *tcpPort) int32 {
	for i, p := range s.tcp.ports {
		if p == port {
			return listenerSlot - int32(i)
		}
	}
	return bellSlot
}
