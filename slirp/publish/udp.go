package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFlows bounds the clients of one port that are remembered.
	maxFlows = 4096
	// A client who was never answered is forgotten sooner: its address may be made
	// up. Both are those of conntrack (nf_conntrack_udp_timeout and _stream).
	idleUnanswered = 30 * time.Second
	idleAnswered   = 120 * time.Second
	sweepEvery     = 10 * time.Second
	maxDatagram    = 65535
)

// udpPort forwards the datagrams of one bound port.
type udpPort struct {
	*server
	bound Bound
	conn  *net.UDPConn
	limit int

	mu      sync.Mutex
	flows   map[flowKey]*flow
	stop    func() bool // the next sweep; nil where there are no flows
	closing bool
}

func newUDPPort(s *server, b Bound, conn *net.UDPConn) *udpPort {
	return &udpPort{server: s, bound: b, conn: conn, limit: maxFlows, flows: map[flowKey]*flow{}}
}

// flowKey tells flows apart: local is the host's address that the client wrote
// to, from which it expects the answer.
type flowKey struct {
	client netip.AddrPort
	local  netip.Addr
}

func (p *udpPort) forward(ctx context.Context) {
	defer p.closeFlows()
	buffer, control := make([]byte, maxDatagram), make([]byte, 128)
	for {
		n, nc, _, client, err := p.conn.ReadMsgUDPAddrPort(buffer, control)
		switch {
		case err == nil:
			p.deliver(flowKey{client, destination(control[:nc])}, buffer[:n])
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			p.reported.once("receive", fmt.Errorf("port %s/%s: %w", p.bound.host(), UDP, err))
			pause(ctx, acceptPause)
		}
	}
}

// deliver passes a client's datagram on. What cannot be is lost, as UDP may be.
func (p *udpPort) deliver(key flowKey, data []byte) {
	f, err := p.flow(key)
	if err != nil {
		p.reported.once("flow", fmt.Errorf("port %s/%s: datagrams are lost: %w", p.bound.host(), UDP, err))
		return
	}
	f.touch(false)
	// A port that nobody has yet answers with ECONNREFUSED, which a later
	// datagram must not care about.
	if _, err := f.conn.Write(data); errors.Is(err, unix.ECONNREFUSED) {
		_, _ = f.conn.Write(data)
	}
}

// flow is the client's, or a new one.
func (p *udpPort) flow(key flowKey) (*flow, error) {
	p.mu.Lock()
	f := p.flows[key]
	full := len(p.flows) >= p.limit
	p.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if full {
		p.evict()
	}
	f, err := p.open(key)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flows[key] = f
	if p.stop == nil {
		p.stop = p.clock.after(sweepEvery, p.sweep)
	}
	return f, nil
}

// evict makes room: of those never answered, or else of all, the flow that was
// idle for longest goes.
func (p *udpPort) evict() {
	p.mu.Lock()
	var oldest *flow
	for _, f := range p.flows {
		if oldest == nil || f.lessWorthy(oldest) {
			oldest = f
		}
	}
	if oldest != nil {
		delete(p.flows, oldest.key)
	}
	p.mu.Unlock()
	if oldest != nil {
		oldest.close()
	}
}

// sweep forgets idle flows, and comes again while there are any.
func (p *udpPort) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock() // only then: once closeFlows was here, nothing may be done
	if p.closing {
		return
	}
	now := p.clock.now()
	for key, f := range p.flows {
		if f.expired(now) {
			delete(p.flows, key)
			f.close()
		}
	}
	p.stop = nil
	if len(p.flows) > 0 {
		p.stop = p.clock.after(sweepEvery, p.sweep)
	}
}

func (p *udpPort) closeFlows() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	if p.stop != nil {
		p.stop()
	}
	for _, f := range p.flows {
		f.close()
	}
	clear(p.flows)
}

// destination reads the host's address from a datagram's control messages.
func destination(control []byte) netip.Addr {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		switch {
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[4:8])) // ipi_spec_dst: ours, where all were addressed
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			if ip := netip.AddrFrom16([16]byte(data[:16])); !ip.IsMulticast() {
				return ip
			}
		}
		control = rest
	}
	return netip.Addr{}
}

// from makes the control message that has an answer leave from that address. The
// kernel finds the interface; but for a link-local address, whose interface is
// the client's, in its zone.
func from(ip netip.Addr) []byte {
	switch {
	case ip.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: ip.As4()})
	case ip.Is6():
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: ip.As16()})
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
