package builtin

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// shortcut sends a datagram on its flow without the stack, which makes of each packet an
// object of several allocations, and would find the same. Whatever is not as plain as
// that is left to the stack: the first of a flow, fragments, options, questions to the
// name server. True says that it is done.
func (s *server) shortcut(protocol tcpip.NetworkProtocolNumber, packet []byte) bool {
	key, payload, ok := plainDatagram(protocol, packet)
	if !ok {
		return false
	}
	f := s.flows.get(key)
	if f == nil {
		return false
	}
	if err := f.write(payload); err != nil {
		s.report(f.quote, err)
	}
	return true
}

// plainDatagram takes a packet apart that is one whole UDP datagram below an IP header
// without extras.
func plainDatagram(protocol tcpip.NetworkProtocolNumber, packet []byte) (key flowKey, payload []byte, ok bool) {
	var from, to netip.Addr
	var udp header.UDP
	switch {
	case protocol == header.IPv4ProtocolNumber && len(packet) >= header.IPv4MinimumSize:
		ip := header.IPv4(packet)
		total := int(ip.TotalLength())
		if packet[0] != header.IPv4Version<<4|header.IPv4MinimumSize/4 || ip.Protocol() != byte(header.UDPProtocolNumber) ||
			ip.More() || ip.FragmentOffset() != 0 || total > len(packet) || total < header.IPv4MinimumSize+header.UDPMinimumSize {
			return key, nil, false
		}
		from, to = netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
		udp = packet[header.IPv4MinimumSize:total]
	case protocol == header.IPv6ProtocolNumber && len(packet) >= header.IPv6MinimumSize:
		ip := header.IPv6(packet)
		total := header.IPv6MinimumSize + int(ip.PayloadLength())
		if packet[0]>>4 != header.IPv6Version || ip.NextHeader() != byte(header.UDPProtocolNumber) ||
			total > len(packet) || total < header.IPv6MinimumSize+header.UDPMinimumSize {
			return key, nil, false
		}
		from, to = netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
		udp = packet[header.IPv6MinimumSize:total]
	default:
		return key, nil, false
	}
	if int(udp.Length()) != len(udp) {
		return key, nil, false
	}
	key = flowKey{protocol: UDP, from: netip.AddrPortFrom(from, udp.SourcePort()), to: netip.AddrPortFrom(to, udp.DestinationPort())}
	return key, udp[header.UDPMinimumSize:], true
}
