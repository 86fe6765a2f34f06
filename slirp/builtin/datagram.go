package builtin

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// handleUDP is given each datagram, reassembled, by the goroutine that reads
// frames: nothing in it waits.
func (s *server) handleUDP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	payload, ok := pkt.Data().PullUp(pkt.Data().Size())
	if !ok && pkt.Data().Size() > 0 {
		return true
	}
	key := flowKey{
		protocol: UDP,
		from:     netip.AddrPortFrom(ipOf(id.RemoteAddress), id.RemotePort),
		to:       netip.AddrPortFrom(ipOf(id.LocalAddress), id.LocalPort),
	}
	if s.nameserver(key.to.Addr()) && key.to.Port() == dnsPort {
		s.serveQuery(key, payload)
		return true
	}
	s.forward(key, pkt, payload)
	return true
}

// handleEcho is given each ICMP message. Pings of our own addresses are left to
// the stack, which answers them.
func (s *server) handleEcho(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	to := ipOf(id.LocalAddress)
	if s.gateway(to) || s.nameserver(to) {
		return false
	}
	message := pkt.TransportHeader().Slice()
	if len(message) < header.ICMPv4MinimumSize {
		return true
	}
	if to.Is4() && message[0] != byte(header.ICMPv4Echo) || to.Is6() && message[0] != byte(header.ICMPv6EchoRequest) {
		return true
	}
	ident := header.ICMPv4(message).Ident() // at the same place in both
	key := flowKey{
		protocol: ICMP,
		from:     netip.AddrPortFrom(ipOf(id.RemoteAddress), ident),
		to:       netip.AddrPortFrom(to, 0),
	}
	data := stack.PayloadSince(pkt.TransportHeader())
	defer data.Release()
	s.forward(key, pkt, data.AsSlice())
	return true
}

// forward sends a datagram on its flow, which it begins if there is none.
func (s *server) forward(key flowKey, pkt *stack.PacketBuffer, payload []byte) {
	f := s.flows.get(key)
	if f == nil {
		if f = s.beginFlow(key, pkt); f == nil {
			return
		}
	}
	if err := f.write(payload); err != nil {
		s.report(f.quote, err)
	}
}

// beginFlow is nil where the datagram has been answered already.
func (s *server) beginFlow(key flowKey, pkt *stack.PacketBuffer) *flow {
	quoted := quoteOf(pkt)
	ip, v := s.guard.host(key.to.Addr())
	switch {
	case !global(key.to.Addr()):
		return nil // broadcasts and their like are answered by nobody (RFC 1122 section 3.2.2)
	case key.protocol == UDP && key.to.Port() == 0:
		v = unreachable
	case v == dial && !s.client(key.from.Addr()).policy.Connect(Connect{Protocol: key.protocol, To: key.to}):
		v = prohibited
	}
	if v != dial {
		s.unreachable(quoted, v)
		return nil
	}
	file, err := connectedSocket(key.protocol, netip.AddrPortFrom(ip, key.to.Port()))
	if err != nil {
		s.report(quoted, err)
		return nil
	}
	raw, err := file.SyscallConn()
	f := &flow{key: key, file: file, raw: raw, quote: quoted}
	if err != nil || !s.flows.add(f) {
		_ = file.Close()
		return nil
	}
	s.spawn(func() { s.replies(f) })
	return f
}

// connectedSocket is a datagram socket, or, for ICMP, a ping socket: those need no
// privilege, only a group in net.ipv4.ping_group_range (icmp(7)).
func connectedSocket(protocol Protocol, to netip.AddrPort) (*os.File, error) {
	kind, number := unix.AF_INET, unix.IPPROTO_UDP
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(to.Port())}
	if to.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		kind, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	if protocol == ICMP {
		if number = unix.IPPROTO_ICMP; kind == unix.AF_INET6 {
			number = unix.IPPROTO_ICMPV6
		}
	}
	fd, err := unix.Socket(kind, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, number)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if err := unix.Connect(fd, sa); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	return os.NewFile(uintptr(fd), string(protocol)), nil
}

// replies sends what comes on a flow to the container, until it is closed.
func (s *server) replies(f *flow) {
	defer s.flows.remove(f)
	for {
		err := f.read(func(b []byte) {
			s.flows.use(f)
			if f.key.protocol == ICMP {
				s.sendEcho(f.key, b)
			} else {
				s.sendUDP(f.key.to, f.key.from, b)
			}
		})
		var errno syscall.Errno
		switch {
		case err == nil:
		case errors.As(err, &errno):
			// An ICMP message that the host got, told once.
			s.report(f.quote, errno)
		default:
			return // closed
		}
	}
}

// report tells the container of an error of its datagram.
func (s *server) report(q quote, err error) {
	if v := verdictOf(err); v != silent {
		s.unreachable(q, v)
	}
}
