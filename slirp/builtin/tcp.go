package builtin

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// maxHalfOpen bounds the connections that are being made.
	maxHalfOpen = 1024
	// maxTCP bounds those that are open.
	maxTCP = 8192
	// dialWait is how long a host may take to answer. The container's kernel tries
	// again for two minutes, and each try of its that finds none of ours under way
	// starts another.
	dialWait = 30 * time.Second
)

// A tcpForwarder makes a connection on the host for each that the container wants.
// The host's is made first, and the container's SYN answered with what came of it,
// so that connect(2) tells the truth there.
type tcpForwarder struct {
	*server
	gate   *tcp.Forwarder
	dialer net.Dialer

	mu       sync.Mutex
	attempts map[stack.TransportEndpointID]*attempt
	open     map[*splice]struct{}
	closed   bool
}

// An attempt is a connection on its way.
type attempt struct {
	syn     *stack.PacketBuffer // as it came
	outcome verdict
	conn    *net.TCPConn // where outcome is dial; nil: the nameserver
}

func newTCPForwarder(s *server) *tcpForwarder {
	t := &tcpForwarder{
		server:   s,
		attempts: map[stack.TransportEndpointID]*attempt{},
		open:     map[*splice]struct{}{},
		// The container's own keep-alives end at the stack, so a host that has gone
		// is noticed here or never.
		dialer: net.Dialer{Timeout: dialWait, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second}},
	}
	t.gate = tcp.NewForwarder(s.stack, bufferMin, maxHalfOpen, func(r *tcp.ForwarderRequest) { s.guarded(func() { t.answer(r) }) })
	return t
}

// handle is given each segment that belongs to no connection.
func (t *tcpForwarder) handle(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	segment := header.TCP(pkt.TransportHeader().Slice())
	if len(segment) < header.TCPMinimumSize || segment.Flags()&(header.TCPFlagSyn|header.TCPFlagAck|header.TCPFlagRst) != header.TCPFlagSyn {
		return false // which the stack answers with a reset
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, under := t.attempts[id]; under || len(t.attempts) >= maxHalfOpen || t.closed {
		return true // the container will ask again
	}
	a := &attempt{syn: pkt.Clone()}
	t.attempts[id] = a
	t.spawn(func() { t.try(id, a) })
	return true
}

// try finds out what becomes of a connection, and hands its SYN back to the gate.
func (t *tcpForwarder) try(id stack.TransportEndpointID, a *attempt) {
	a.outcome = refused
	if to := netip.AddrPortFrom(ipOf(id.LocalAddress), id.LocalPort); to.Port() != 0 && t.openCount() < maxTCP {
		a.conn, a.outcome = t.dial(ipOf(id.RemoteAddress), to)
	}
	if a.outcome == refused || a.outcome == dial {
		if t.gate.HandlePacket(id, a.syn) {
			return // answer goes on
		}
	}
	if a.outcome != silent {
		t.unreachable(quoteOf(a.syn), a.outcome)
	}
	t.drop(id, a)
}

// silent is the verdict of a host that did not answer: neither do we.
const silent verdict = -1

func (t *tcpForwarder) dial(from netip.Addr, to netip.AddrPort) (*net.TCPConn, verdict) {
	if t.nameserver(to.Addr()) && to.Port() == dnsPort {
		return nil, dial
	}
	ip, v := t.guard.host(to.Addr())
	if v != dial {
		return nil, v
	}
	if !t.client(from).policy.Connect(Connect{Protocol: TCP, To: to}) {
		return nil, prohibited
	}
	// Not DialTCP, which binds: to a port that no other connection may have meanwhile,
	// wherever it goes, and for which the kernel searches ever longer.
	conn, err := t.dialer.DialContext(t.ctx, "tcp", netip.AddrPortFrom(ip, to.Port()).String())
	if err != nil {
		return nil, verdictOf(err)
	}
	return conn.(*net.TCPConn), dial
}

// verdictOf says what an error of connect(2) is to the container.
func verdictOf(err error) verdict {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return silent
	}
	switch errno {
	case unix.ECONNREFUSED, unix.ECONNRESET:
		return refused
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EINVAL:
		return unreachable
	case unix.EACCES, unix.EPERM:
		return prohibited
	}
	return silent
}

// answer completes the handshake, or resets the connection.
func (t *tcpForwarder) answer(r *tcp.ForwarderRequest) {
	id := r.ID()
	t.mu.Lock()
	a := t.attempts[id]
	t.mu.Unlock()
	if a == nil {
		r.Complete(true)
		return
	}
	defer t.drop(id, a)
	if a.outcome != dial {
		r.Complete(true)
		return
	}
	var queue waiter.Queue
	ep, err := r.CreateEndpoint(&queue)
	r.Complete(false)
	if err != nil {
		return
	}
	t.begin(ipOf(id.RemoteAddress), ep, &queue, a)
}

// begin starts what runs between the two ends. No endpoint is touched while mu is
// held: gvisor redelivers segments to handle with an endpoint's lock held.
func (t *tcpForwarder) begin(from netip.Addr, ep tcpip.Endpoint, queue *waiter.Queue, a *attempt) {
	p := &splice{from: from, ep: ep, queue: queue, host: a.conn}
	a.conn = nil // drop shall leave it
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.open[p] = struct{}{}
		size := bufferSize(len(t.open))
		t.spawn(func() { t.serve(p, size) })
	}
	t.mu.Unlock()
	if closed {
		p.abort()
		p.close()
	}
}

func (t *tcpForwarder) serve(p *splice, size int64) {
	defer t.end(p)
	p.ep.SocketOptions().SetSendBufferSize(size, true)
	p.ep.SocketOptions().SetReceiveBufferSize(size, true)
	if p.host == nil {
		t.serveTCPQueries(t.client(p.from), p.ep, p.queue)
		return
	}
	p.run(t.spawn)
}

func (t *tcpForwarder) end(p *splice) {
	p.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, p)
}

func (t *tcpForwarder) drop(id stack.TransportEndpointID, a *attempt) {
	t.mu.Lock()
	delete(t.attempts, id)
	t.mu.Unlock()
	a.syn.DecRef()
	if a.conn != nil {
		// The container did not complete its handshake, or reset it at once: to the host an
		// orderly end would say that there was nothing to send.
		_ = a.conn.SetLinger(0)
		_ = a.conn.Close()
	}
}

func (t *tcpForwarder) openCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// closeAll resets what is open, and lets nothing new begin.
func (t *tcpForwarder) closeAll() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.abort(func(*splice) bool { return true })
}

// abort resets the connections that are meant.
func (t *tcpForwarder) abort(meant func(*splice) bool) {
	t.mu.Lock()
	open := slices.Collect(maps.Keys(t.open))
	t.mu.Unlock()
	for _, p := range open {
		if meant(p) {
			p.abort()
		}
	}
}

// Buffers of a connection in each direction, in bytes. A buffer costs what waits
// in it, and what waits is the choice of the container and of whom it talks to,
// so all together are bounded: a connection gets its share of bufferTotal among those
// that are open when it begins, but bufferMin at least (1 GiB for maxTCP of them).
const (
	bufferMin   = 128 << 10 // two segments at our MTU
	bufferMax   = 2 << 20
	bufferTotal = 64 << 20
)

func bufferSize(open int) int64 {
	return int64(min(max(bufferTotal/max(open, 1), bufferMin), bufferMax))
}
