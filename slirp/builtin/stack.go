package builtin

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nicID is the stack's one interface.
const nicID = 1

// build makes the stack and sets our handlers behind it. gvisor takes packets
// apart, reassembles them and speaks TCP; where they go is decided here.
func (s *server) build() error {
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	s.tcp = newTCPForwarder(s)
	s.link.accept = func(protocol tcpip.NetworkProtocolNumber, packet []byte) bool {
		return s.accept(protocol, packet) && !s.shortcut(protocol, packet)
	}
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, s.tcp.handle)
	s.stack.SetTransportProtocolHandler(udp.ProtocolNumber, s.handleUDP)
	s.stack.SetTransportProtocolHandler(icmp.ProtocolNumber4, s.handleEcho)
	s.stack.SetTransportProtocolHandler(icmp.ProtocolNumber6, s.handleEcho)
	return errors.Join(s.setOptions(), s.setAddresses())
}

func (s *server) setOptions() error {
	var errs []error
	set := func(o tcpip.SettableTransportProtocolOption) {
		if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			errs = append(errs, errors.New(err.String()))
		}
	}
	sack, recovery, control := tcpip.TCPSACKEnabled(true), tcpip.TCPRACKLossDetection, tcpip.CongestionControlOption("cubic")
	set(&sack)
	set(&recovery)
	set(&control)
	set(&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: bufferMin, Max: bufferMax})
	set(&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: bufferMin, Max: bufferMax})
	// The window's scale is chosen for Max with this alone; see bufferSize.
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	set(&moderate)
	// No TIME-WAIT (RFC 9293 section 3.6.1): nothing is late on a wire that is a
	// function call. With one, a SYN of the container from a port that it had used
	// just before would be lost: gvisor gives it to listeners only, not to us.
	timeWait, linger := tcpip.TCPTimeWaitTimeoutOption(0), tcpip.TCPLingerTimeoutOption(5*time.Second)
	set(&timeWait)
	set(&linger)
	retries := tcpip.TCPSynRetriesOption(4)
	set(&retries)
	return errors.Join(errs...)
}

func (s *server) setAddresses() error {
	var errs []error
	check := func(err tcpip.Error) {
		if err != nil {
			errs = append(errs, errors.New(err.String()))
		}
	}
	check(s.stack.CreateNIC(nicID, s.link))
	// Every address of the world is ours: packets for it are taken, and answered in
	// its name.
	check(s.stack.SetPromiscuousMode(nicID, true))
	check(s.stack.SetSpoofing(nicID, true))
	// The stack sends to the container and to nowhere else.
	routes := []tcpip.Route{route(s.net4)}
	own := []netip.Prefix{netip.PrefixFrom(s.gateway4, s.net4.Bits()), netip.PrefixFrom(s.nameserver4, s.net4.Bits())}
	if s.net6.IsValid() {
		routes = append(routes, route(s.net6))
		own = append(own, netip.PrefixFrom(s.gateway6, s.net6.Bits()), netip.PrefixFrom(s.nameserver6, s.net6.Bits()))
	}
	for _, p := range slices.Compact(own) {
		check(s.stack.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
			Protocol:          networkProtocol(p.Addr()),
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()},
		}, stack.AddressProperties{}))
	}
	s.stack.SetRouteTable(routes)
	return errors.Join(errs...)
}

func route(p netip.Prefix) tcpip.Route {
	return tcpip.Route{
		Destination: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()}.Subnet(),
		NIC:         nicID,
	}
}

func address(ip netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(ip.AsSlice()) }

// ipOf is the zero Addr for what is no address.
func ipOf(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip
}

func networkProtocol(ip netip.Addr) tcpip.NetworkProtocolNumber {
	if ip.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// accept drops what no container of ours would send before the stack sees it: a
// packet from outside its network, or from one of our own addresses. IPv6 needs
// the unspecified and link-local sources for neighbour discovery; nothing else
// of theirs gets further, for there is no route back.
func (s *server) accept(protocol tcpip.NetworkProtocolNumber, packet []byte) bool {
	var source netip.Addr
	switch protocol {
	case header.ARPProtocolNumber:
		return true
	case header.IPv4ProtocolNumber:
		if len(packet) < header.IPv4MinimumSize {
			return false
		}
		source = netip.AddrFrom4([4]byte(packet[12:16]))
	case header.IPv6ProtocolNumber:
		if len(packet) < header.IPv6MinimumSize || !s.net6.IsValid() {
			return false
		}
		source = netip.AddrFrom16([16]byte(packet[8:24]))
		if source.IsUnspecified() || source.IsLinkLocalUnicast() {
			return packet[6] == byte(header.ICMPv6ProtocolNumber)
		}
	default:
		return false
	}
	return s.inside(source) && !s.gateway(source) && !s.nameserver(source) && !s.meetsTheDead(packet)
}

// meetsTheDead says of a SYN that it would reach a connection that is over but not
// yet gone. gvisor would give it to nobody and answer with a reset, as if the host
// had refused. Dropped, it comes again a second later.
func (s *server) meetsTheDead(packet []byte) bool {
	at := tcpAt(packet)
	if at == 0 || len(packet) < at+header.TCPMinimumSize {
		return false
	}
	segment := header.TCP(packet[at:])
	if segment.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return false
	}
	from, to, ok := quote(packet).addresses()
	if !ok {
		return false
	}
	ep := s.stack.FindTransportEndpoint(networkProtocol(to), tcp.ProtocolNumber, stack.TransportEndpointID{
		LocalAddress: address(to), LocalPort: segment.DestinationPort(),
		RemoteAddress: address(from), RemotePort: segment.SourcePort(),
	}, nicID)
	known, ok := ep.(*tcp.Endpoint)
	if !ok {
		return false
	}
	switch tcp.EndpointState(known.State()) {
	case tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
		return true
	}
	return false
}
