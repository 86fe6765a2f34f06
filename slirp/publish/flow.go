package publish

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// flow is one client of a UDP port, with its own socket in the container's
// network.
type flow struct {
	port     *udpPort
	key      flowKey
	conn     *net.UDPConn
	local    netip.Addr // what is local in tableUDP for it; may be invalid
	used     atomic.Int64
	answered atomic.Bool
	once     sync.Once
}

// open makes a flow, and starts the passing of answers.
func (p *udpPort) open(key flowKey) (*flow, error) {
	f := &flow{port: p, key: key}
	f.touch(false)
	if _, source := p.route(key.client); source.IsValid() {
		if err := p.routes.acquire(source.Addr()); err != nil {
			return nil, err
		}
		f.local = source.Addr()
	}
	if err := f.connect(); err != nil {
		f.releaseRoute()
		return nil, err
	}
	p.work.Go(f.answers)
	return f, nil
}

func (f *flow) connect() error {
	fd, err := f.port.dial(f.port.space.socket, f.key.client, f.port.bound)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "container "+f.port.bound.Port().String())
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return err
	}
	f.conn = conn.(*net.UDPConn)
	return nil
}

func (f *flow) releaseRoute() {
	if f.local.IsValid() {
		f.port.routes.release(f.local)
	}
}

// close ends the flow; answers ends by it.
func (f *flow) close() {
	f.once.Do(func() {
		_ = f.conn.Close()
		f.releaseRoute()
	})
}

func (f *flow) touch(answer bool) {
	f.used.Store(f.port.clock.now().UnixNano())
	if answer && !f.answered.Load() {
		f.answered.Store(true)
	}
}

func (f *flow) expired(now time.Time) bool {
	limit := idleUnanswered
	if f.answered.Load() {
		limit = idleAnswered
	}
	return now.UnixNano()-f.used.Load() >= int64(limit)
}

// lessWorthy orders flows for eviction: those who only ever sent go first, so
// that made-up clients do not drive out real ones.
func (f *flow) lessWorthy(g *flow) bool {
	if a, b := f.answered.Load(), g.answered.Load(); a != b {
		return !a
	}
	return f.used.Load() < g.used.Load()
}

// datagrams are shared by all flows: one that waits holds none.
var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// answers passes on what the container sends to this client, until the flow is
// closed.
func (f *flow) answers() {
	connection, err := f.conn.SyscallConn()
	if err != nil {
		return
	}
	control := from(f.key.local)
	for connection.Read(func(fd uintptr) bool { return f.passOn(int(fd), control) }) == nil {
	}
}

// passOn sends all answers that are there, and says whether reading is to stop:
// never, it waits for more.
func (f *flow) passOn(fd int, control []byte) bool {
	buffer := datagrams.Get().(*[maxDatagram]byte)
	defer datagrams.Put(buffer)
	for {
		n, err := unix.Read(fd, buffer[:])
		switch err {
		case nil:
			f.touch(true)
			_, _, _ = f.port.conn.WriteMsgUDPAddrPort(buffer[:n], control, f.key.client)
		case unix.EAGAIN:
			return false
		default:
			// ECONNREFUSED and its like: nobody has the container's port, or not yet.
			// An error that waits in a socket is gone once it is read (socket(7), SO_ERROR).
		}
	}
}
