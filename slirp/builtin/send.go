package builtin

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// hops is the TTL of what we send.
const hops = 64

// send wraps a message of a transport protocol into packets to the container.
func (s *server) send(protocol tcpip.TransportProtocolNumber, from, to netip.Addr, message buffer.Buffer) {
	r, err := s.stack.FindRoute(nicID, address(from), address(to), networkProtocol(to), false)
	if err != nil {
		message.Release()
		return
	}
	defer r.Release()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(r.MaxHeaderLength()),
		Payload:            message,
	})
	defer pkt.DecRef()
	_ = r.WritePacket(stack.NetworkHeaderParams{Protocol: protocol, TTL: hops}, pkt)
}

func (s *server) sendUDP(from, to netip.AddrPort, payload []byte) {
	size := header.UDPMinimumSize + len(payload)
	if size > packetMax-1 {
		return
	}
	head := make(header.UDP, header.UDPMinimumSize)
	head.Encode(&header.UDPFields{SrcPort: from.Port(), DstPort: to.Port(), Length: uint16(size)})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, address(from.Addr()), address(to.Addr()), uint16(size))
	sum = ^head.CalculateChecksum(checksum.Checksum(payload, sum))
	if sum == 0 {
		sum = 0xffff // 0 stands for none (RFC 768)
	}
	head.SetChecksum(sum)
	message := buffer.MakeWithData(head)
	_ = message.Append(buffer.NewViewWithData(payload))
	s.send(header.UDPProtocolNumber, from.Addr(), to.Addr(), message)
}

// sendEcho passes the answer of a ping socket on under the container's identifier,
// in place of the one that the kernel chose.
func (s *server) sendEcho(key flowKey, message []byte) {
	if len(message) < header.ICMPv4MinimumSize {
		return
	}
	binary.BigEndian.PutUint16(message[4:], key.from.Port())
	s.sendICMP(key.to.Addr(), key.from.Addr(), message)
}

// sendICMP fills in the checksum, which is at the same place in both protocols.
func (s *server) sendICMP(from, to netip.Addr, message []byte) {
	protocol := header.ICMPv4ProtocolNumber
	var sum uint16
	if to.Is6() {
		protocol = header.ICMPv6ProtocolNumber
		sum = header.PseudoHeaderChecksum(protocol, address(from), address(to), uint16(len(message)))
	}
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], ^checksum.Checksum(message, sum))
	s.send(protocol, from, to, buffer.MakeWithData(message))
}

// A quote is the beginning of a packet, as an ICMP error repeats it for the sender
// to know which of its own is meant: the IP header, and of the transport's at
// least eight bytes (RFC 792, RFC 4443 section 3.1).
type quote []byte

// quoteMax is far below what RFC 4443 allows, in bytes.
const quoteMax = 128

func quoteOf(pkt *stack.PacketBuffer) quote {
	q := slices.Concat(pkt.NetworkHeader().Slice(), pkt.TransportHeader().Slice())
	return q[:min(len(q), quoteMax)]
}

func (q quote) addresses() (from, to netip.Addr, ok bool) {
	switch {
	case len(q) >= header.IPv4MinimumSize && q[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(q[12:16])), netip.AddrFrom4([4]byte(q[16:20])), true
	case len(q) >= header.IPv6MinimumSize && q[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(q[8:24])), netip.AddrFrom16([16]byte(q[24:40])), true
	}
	return from, to, false
}

// unreachable tells the container that a packet of its went nowhere, and why.
func (s *server) unreachable(q quote, v verdict) {
	to, from, ok := q.addresses()
	if !ok {
		return
	}
	kind, code := byte(header.ICMPv4DstUnreachable), codes4[v]
	if to.Is6() {
		kind, code = byte(header.ICMPv6DstUnreachable), codes6[v]
	}
	switch {
	case v == refused: // says the host itself
	case to.Is4():
		from = s.gateway4
	default:
		from = s.gateway6
	}
	const headerLen = 8
	s.sendICMP(from, to, append([]byte{kind, code, headerLen - 1: 0}, q...))
}

// The codes of "destination unreachable" (RFC 792, RFC 1812 section 5.2.7.1; RFC
// 4443 section 3.1).
var (
	codes4 = map[verdict]byte{refused: 3, unreachable: 1, prohibited: 13}
	codes6 = map[verdict]byte{refused: 4, unreachable: 3, prohibited: 1}
)
