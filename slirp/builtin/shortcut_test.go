package builtin

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// plain makes a packet with a payload of four bytes, and lets change spoil it.
func plain(from, to netip.AddrPort, change func(packet []byte)) (tcpip.NetworkProtocolNumber, []byte) {
	const size = header.UDPMinimumSize + 4
	at := header.IPv4MinimumSize
	if from.Addr().Is6() {
		at = header.IPv6MinimumSize
	}
	packet := make([]byte, at+size)
	if from.Addr().Is4() {
		header.IPv4(packet).Encode(&header.IPv4Fields{
			TotalLength: uint16(len(packet)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: address(from.Addr()), DstAddr: address(to.Addr()),
		})
	} else {
		header.IPv6(packet).Encode(&header.IPv6Fields{
			PayloadLength: size, HopLimit: 64, TransportProtocol: header.UDPProtocolNumber, SrcAddr: address(from.Addr()), DstAddr: address(to.Addr()),
		})
	}
	header.UDP(packet[at:]).Encode(&header.UDPFields{SrcPort: from.Port(), DstPort: to.Port(), Length: size})
	copy(packet[at+header.UDPMinimumSize:], "four")
	if change != nil {
		change(packet)
	}
	return networkProtocol(from.Addr()), packet
}

func TestPlainDatagram(t *testing.T) {
	from4, to4 := at4("10.0.2.100", 1024), at4("192.0.2.1", 53)
	from6, to6 := netip.AddrPortFrom(netip.MustParseAddr("fd00::100"), 7), netip.AddrPortFrom(hostIP6, 65535)
	for _, pair := range [][2]netip.AddrPort{{from4, to4}, {from6, to6}} {
		key, payload, ok := plainDatagram(plain(pair[0], pair[1], nil))
		if !ok || key != (flowKey{UDP, pair[0], pair[1]}) || string(payload) != "four" {
			t.Errorf("%v: %v, %q, %v", pair, key, payload, ok)
		}
	}
	for name, change := range map[string]func([]byte){
		"options":           func(p []byte) { p[0]++ },
		"version":           func(p []byte) { p[0] = 0x65 },
		"first fragment":    func(p []byte) { p[6] = 0x20 },
		"later fragment":    func(p []byte) { p[7] = 1 },
		"TCP":               func(p []byte) { p[9] = 6 },
		"longer than it is": func(p []byte) { p[3]++ },
		"no UDP header":     func(p []byte) { p[3] = header.IPv4MinimumSize + header.UDPMinimumSize - 1 },
		"shorter UDP":       func(p []byte) { p[header.IPv4MinimumSize+5]-- },
		"longer UDP":        func(p []byte) { p[header.IPv4MinimumSize+5]++ },
	} {
		if key, _, ok := plainDatagram(plain(from4, to4, change)); ok {
			t.Errorf("%s: taken as %v", name, key)
		}
	}
	for name, change := range map[string]func([]byte){
		"version":           func(p []byte) { p[0] = 0x45 },
		"extension":         func(p []byte) { p[6] = 0 },
		"longer than it is": func(p []byte) { p[5]++ },
		"no UDP header":     func(p []byte) { p[5] = header.UDPMinimumSize - 1 },
	} {
		if key, _, ok := plainDatagram(plain(from6, to6, change)); ok {
			t.Errorf("IPv6, %s: taken as %v", name, key)
		}
	}
	protocol, packet := plain(from4, to4, nil)
	for n := range packet {
		if _, _, ok := plainDatagram(protocol, packet[:n]); ok {
			t.Errorf("%d bytes of %d are taken", n, len(packet))
		}
	}
}
