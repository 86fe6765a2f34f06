package publish

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pair is two connections whose data go to each other. One shard has it; nobody
// else touches it.
type pair struct {
	sides      [2]side
	slot, turn int32
	connecting bool // the program's side is not connected yet
	queued     bool // in the shard's again
	closed     bool
}

const (
	clientSide  = 0
	programSide = 1
)

func (p *pair) tag(side int) tag { return tag{p.slot, p.turn<<1 | int32(side)} }

// side is one of the connections. Events are edges (EPOLLET, epoll(7)): what they
// said holds until a system call says otherwise.
type side struct {
	fd       int
	readable bool
	hungUp   bool // there is an end, or an error, after what can be read
	ended    bool // and it was read
	blocked  bool // cannot be written to
	shut     bool // was told that the other side ended
	bulk     bool // it sends a stream

	// What could not be written to it, of a read or of a splice.
	rest      []byte
	whole     *[bufferSize]byte
	conduit   conduit
	inConduit int
}

func (t *side) owed() bool { return len(t.rest) > 0 || t.inConduit > 0 }

// rests hold what a slow reader has not taken.
var rests = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// handle takes an event of one side in.
func (s *shard) handle(p *pair, i int, events uint32) {
	const trouble = unix.EPOLLERR | unix.EPOLLHUP
	me := &p.sides[i]
	if events&unix.EPOLLOUT != 0 {
		me.blocked = false
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|trouble) != 0 {
		me.readable = true
	}
	if events&(unix.EPOLLRDHUP|trouble) != 0 {
		me.hungUp = true
	}
	if p.connecting {
		if i == clientSide && events&trouble == 0 {
			return // it waits
		}
		if i == clientSide || failed(me.fd) {
			s.abort(p)
			return
		}
		p.connecting = false
	}
	if s.move(p); p.closed {
		return
	}
	// One who has ended and is not read from any more can still be reset.
	if events&unix.EPOLLERR != 0 && failed(me.fd) {
		s.abort(p)
	}
}

// failed asks a socket for its error: why it is not connected, or no longer.
func failed(fd int) bool {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return err != nil || code != 0
}

// move passes on all that can be, both ways, and closes a pair that is done.
func (s *shard) move(p *pair) {
	client, program := &p.sides[clientSide], &p.sides[programSide]
	if !s.pump(p, client, program) || !s.pump(p, program, client) {
		s.abort(p)
		return
	}
	if client.shut && program.shut {
		s.forget(p)
		_ = unix.Close(client.fd)
		_ = unix.Close(program.fd)
	}
}

// turnSize is how many buffers one direction moves before others have their turn.
const turnSize = 16

// pump is one direction. It says whether both connections are well.
func (s *shard) pump(p *pair, from, to *side) bool {
	for range turnSize {
		if to.owed() && !s.flush(to) {
			return false
		}
		switch {
		case to.owed():
			return true
		case from.ended:
			if !to.shut {
				to.shut = true
				_ = unix.Shutdown(to.fd, unix.SHUT_WR)
			}
			return true
		case !from.readable:
			return true
		}
		transfer := s.transfer
		if from.bulk && !s.noSplice {
			transfer = s.transferBulk
		}
		if !transfer(from, to) {
			return false
		}
	}
	if !p.queued {
		p.queued = true
		s.again = append(s.again, p)
	}
	return true
}

// transfer reads once, and writes what it read.
func (s *shard) transfer(from, to *side) bool {
	n, errno := receive(from.fd, s.buffer[:])
	switch {
	case errno == unix.EAGAIN:
		from.readable = false
		return true
	case errno == unix.EINTR:
		return true
	case errno != 0:
		return false
	case n == 0:
		from.ended = true
		return true
	}
	// A short read has emptied the socket (epoll(7)), but an end that was announced
	// before makes no event of its own.
	from.bulk = n == len(s.buffer)
	from.readable = from.bulk || from.hungUp
	written, errno := send(to.fd, s.buffer[:n])
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		return false
	}
	if written < n {
		to.blocked = errno != unix.EINTR
		to.whole = rests.Get().(*[bufferSize]byte)
		to.rest = to.whole[:copy(to.whole[:], s.buffer[written:n])]
	}
	return true
}

// flush writes what is left over.
func (s *shard) flush(to *side) bool {
	if to.blocked {
		return true
	}
	if to.inConduit > 0 {
		return s.flushConduit(to)
	}
	n, errno := send(to.fd, to.rest)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		return false
	}
	if to.rest = to.rest[n:]; len(to.rest) > 0 {
		to.blocked = errno != unix.EINTR
		return true
	}
	to.drop()
	return true
}

// drop forgets what is left over.
func (t *side) drop() {
	if t.whole != nil {
		rests.Put(t.whole)
		t.whole, t.rest = nil, nil
	}
	if t.inConduit > 0 {
		t.conduit.close()
		t.inConduit = 0
	}
}

// abort resets both connections.
func (s *shard) abort(p *pair) {
	s.forget(p)
	for i := range p.sides {
		p.sides[i].drop()
	}
	reset(p.sides[clientSide].fd)
	s.kill(p.sides[programSide].fd)
}

// reset closes a connection so that its peer learns that something went wrong
// (SO_LINGER with time zero sends RST, socket(7)).
func reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(fd)
}

// receive and send are the two calls of every request. Neither blocks, so that
// the runtime need not be told of them (RawSyscall).
func receive(fd int, buffer []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func send(fd int, data []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
