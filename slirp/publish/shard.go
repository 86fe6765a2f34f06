package publish

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// shard is one epoll loop, on a thread in the container's network namespace: it
// makes the container's sockets itself. The first one accepts, too.
type shard struct {
	tcp    *tcp
	epoll  int
	bell   int // eventfd(2): wakes the loop to end
	ended  atomic.Bool
	buffer [bufferSize]byte

	conduits []conduit // not in use
	noSplice bool      // this kernel cannot

	again []*pair // had more to move than their turn allows
	dying []dying

	// What waits for a free descriptor, and until when.
	paused  []*tcpPort
	waiting []arrival
	resume  time.Time

	mu    sync.Mutex // other shards add pairs
	pairs []*pair    // by slot
	free  []int32
	count atomic.Int32
}

// bufferSize is what is moved by one read: the most that TCP over lo has in one
// segment.
const bufferSize = 64 << 10

// tag is what epoll gives back with an event: whose it is.
type tag struct {
	slot int32
	// turn tells a pair from an earlier one in the same slot, of which the same
	// batch of events may still speak.
	turn int32
}

// Slots that are not a pair's: the bell, and the listeners from there on down.
const (
	bellSlot     = -1
	listenerSlot = -2
)

func (t *tcp) startShard() (*shard, error) {
	s := &shard{tcp: t}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if s.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(s.epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	err = s.watch(s.bell, tag{slot: bellSlot}, unix.EPOLLIN)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.limit == 0 {
		err = os.ErrClosed
	}
	if err == nil {
		t.loops.Add(1)
		err = enter(t.Netns, func() { defer t.loops.Done(); s.run() })
		if err != nil {
			t.loops.Done()
		}
	}
	if err != nil {
		s.release()
		return nil, err
	}
	t.shards = append(t.shards[:len(t.shards):len(t.shards)], s)
	return s, nil
}

func (s *shard) load() int32 { return s.count.Load() }

// end makes run return. It may be called from anywhere.
func (s *shard) end() {
	s.ended.Store(true)
	_, _ = unix.Write(s.bell, native.AppendUint64(nil, 1))
}

func (s *shard) watch(fd int, to tag, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: to.slot, Pad: to.turn}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

// run is the loop.
func (s *shard) run() {
	defer s.closeAll()
	events := make([]unix.EpollEvent, 128)
	for !s.ended.Load() {
		n, err := unix.EpollWait(s.epoll, events, s.patience())
		if err != nil && err != unix.EINTR {
			s.tcp.reported.once("epoll", fmt.Errorf("published TCP ports end: %w", err))
			return
		}
		for _, e := range events[:max(n, 0)] {
			switch {
			case e.Fd >= 0:
				if p, side := s.find(tag{e.Fd, e.Pad}); p != nil {
					s.handle(p, side, e.Events)
				}
			case e.Fd <= listenerSlot:
				s.accept(s.tcp.ports[listenerSlot-e.Fd])
			}
		}
		s.goOn()
	}
}

// patience is how long epoll_wait may wait, in milliseconds.
func (s *shard) patience() int {
	switch {
	case len(s.again) > 0:
		return 0
	case len(s.dying) > 0:
		return int(dyingPause / time.Millisecond)
	case len(s.paused) > 0:
		return int(acceptPause / time.Millisecond)
	}
	return -1
}

// goOn continues with what no event will come for.
func (s *shard) goOn() {
	again := s.again
	s.again = nil
	for _, p := range again {
		if p.queued = false; !p.closed {
			s.move(p)
		}
	}
	if len(s.dying) > 0 {
		s.bury()
	}
	if len(s.paused) > 0 && !time.Now().Before(s.resume) {
		s.resumePaused()
	}
}

// add makes a pair of two sockets. Events may come before it returns.
func (s *shard) add(client, program int) error {
	const both = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	p := &pair{connecting: true}
	p.sides[clientSide].fd, p.sides[programSide].fd = client, program
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.Load() {
		return os.ErrClosed
	}
	if n := len(s.free); n > 0 {
		p.slot, s.free = s.free[n-1], s.free[:n-1]
		p.turn = s.pairs[p.slot].turn + 1
		s.pairs[p.slot] = p
	} else {
		p.slot = int32(len(s.pairs))
		s.pairs = append(s.pairs, p)
	}
	// The program's side first: it is the one to wait for.
	for _, side := range []int{programSide, clientSide} {
		if err := s.watch(p.sides[side].fd, p.tag(side), both); err != nil {
			p.closed = true
			s.free = append(s.free, p.slot)
			return err
		}
	}
	s.count.Add(1)
	return nil
}

// find gives the pair and the side that an event is for; nil: it is gone.
func (s *shard) find(t tag) (*pair, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pairs[t.slot]
	if side := int(t.turn & 1); !p.closed && p.tag(side) == t {
		return p, side
	}
	return nil, 0
}

func (s *shard) forget(p *pair) {
	p.closed = true
	s.mu.Lock()
	s.free = append(s.free, p.slot)
	s.mu.Unlock()
	s.count.Add(-1)
}

// closeAll resets what is open when the loop ends.
func (s *shard) closeAll() {
	s.ended.Store(true)
	s.mu.Lock()
	pairs := s.pairs
	s.mu.Unlock()
	for _, p := range pairs {
		if !p.closed {
			s.abort(p)
		}
	}
	for _, a := range s.waiting {
		reset(a.fd)
	}
	for _, d := range s.dying {
		reset(d.fd)
	}
	for _, c := range s.conduits {
		c.close()
	}
}

// release closes what end needs, once the loop is over.
func (s *shard) release() {
	_ = unix.Close(s.epoll)
	_ = unix.Close(s.bell)
}
