package builtin

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Where things stand in an ARP packet of Ethernet and IPv4 (RFC 826), and what is
// asked for in it.
const (
	arpLen       = 28
	arpOp        = 6
	arpSenderMAC = 8
	arpSenderIP  = 14
	arpTargetIP  = 24
	arpRequest   = 1
)

// A neighbour discovery message (RFC 4861 sections 4.3 and 4.4) names the address that
// it is about behind its first eight bytes.
const (
	ndTarget = header.IPv6MinimumSize + 8
	ndLen    = ndTarget + header.IPv6AddressSize
)

// has says whether an address is the member's. The kernel makes the link-local one
// from the hardware address (RFC 4291, appendix A).
func (m Member) has(ip netip.Addr) bool {
	return ip.IsValid() && (ip == m.IP4 || m.IP6.IsValid() && (ip == m.IP6 || ip == m.linkLocal()))
}

func (m Member) linkLocal() netip.Addr {
	return ipOf(header.LinkLocalAddr(tcpip.LinkAddress(m.MAC)))
}

// sends says whether a frame is one that the member may send: from its own addresses,
// and with nothing in it about those of others.
func (m Member) sends(eth header.Ethernet, packet []byte) bool {
	if string(eth.SourceAddress()) != m.MAC {
		return false
	}
	switch eth.Type() {
	case header.ARPProtocolNumber:
		return len(packet) >= arpLen && string(packet[arpSenderMAC:arpSenderIP]) == m.MAC &&
			netip.AddrFrom4([4]byte(packet[arpSenderIP:])) == m.IP4
	case header.IPv4ProtocolNumber:
		return len(packet) >= header.IPv4MinimumSize && netip.AddrFrom4([4]byte(packet[12:16])) == m.IP4
	case header.IPv6ProtocolNumber:
		if len(packet) < header.IPv6MinimumSize || !m.has(netip.AddrFrom16([16]byte(packet[8:24]))) {
			return false
		}
		switch header.IPv6ExtensionHeaderIdentifier(packet[6]) {
		case header.IPv6HopByHopOptionsExtHdrIdentifier, header.IPv6RoutingExtHdrIdentifier, header.IPv6DestinationOptionsExtHdrIdentifier:
			return false // an advertisement could be behind it
		}
		about, advertised := discovery(packet, header.ICMPv6NeighborAdvert)
		return !advertised || m.has(about)
	}
	return false
}

// wanted is the address that a frame asks a neighbour's hardware address of.
func wanted(eth header.Ethernet, packet []byte) (netip.Addr, bool) {
	switch eth.Type() {
	case header.ARPProtocolNumber:
		if binary.BigEndian.Uint16(packet[arpOp:]) == arpRequest {
			return netip.AddrFrom4([4]byte(packet[arpTargetIP:])), true
		}
	case header.IPv6ProtocolNumber:
		return discovery(packet, header.ICMPv6NeighborSolicit)
	}
	return netip.Addr{}, false
}

// discovery is the address that a message of neighbour discovery is about; false for
// any other packet. Kernels take none in a fragment (RFC 6980).
func discovery(packet []byte, kind header.ICMPv6Type) (netip.Addr, bool) {
	if len(packet) < ndLen || packet[6] != byte(header.ICMPv6ProtocolNumber) || packet[header.IPv6MinimumSize] != byte(kind) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(packet[ndTarget:])), true
}
