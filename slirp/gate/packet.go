package gate

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// packet is what the container sent, of which the end may be missing.
type packet struct {
	header   []byte // of IP, and what follows
	payload  []byte // what follows
	protocol byte
	from     netip.Addr
	to       netip.AddrPort // of what has ports
}

func parse(b []byte) (p packet, ok bool) {
	const leastIPv4, sizeIPv6 = 20, 40
	var ip netip.Addr
	p.header = b
	switch {
	case len(b) >= leastIPv4 && b[0]>>4 == 4:
		p.protocol, p.from, ip = b[9], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.payload = b[min(int(b[0]&0xf)*4, len(b)):]
	case len(b) >= sizeIPv6 && b[0]>>4 == 6:
		p.protocol, p.from, ip = b[6], netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		p.payload = b[sizeIPv6:]
	default:
		return p, false
	}
	port := uint16(0)
	if (p.protocol == unix.IPPROTO_TCP || p.protocol == unix.IPPROTO_UDP) && len(p.payload) >= 4 {
		port = binary.BigEndian.Uint16(p.payload[2:])
	}
	p.to = netip.AddrPortFrom(ip, port)
	return p, true
}

// readdress undoes a translation of the destination: the container knows its own alone.
func (p *packet) readdress(to netip.Addr) {
	p.to = netip.AddrPortFrom(to, p.to.Port())
	if to.Is4() {
		copy(p.header[16:20], to.AsSlice())
	} else {
		copy(p.header[24:40], to.AsSlice())
	}
}

// answered says that the packet is none of ICMP, or an echo: others have no answer (RFC
// 1122 section 3.2.2).
func (p packet) answered() bool {
	switch p.protocol {
	case unix.IPPROTO_ICMP:
		return len(p.payload) > 0 && p.payload[0] == echo4
	case unix.IPPROTO_ICMPV6:
		return len(p.payload) > 0 && p.payload[0] == echo6
	}
	return true
}

// prohibition is the ICMP message "communication administratively prohibited" (RFC 1812
// section 5.2.7.1, RFC 4443 section 3.1). The kernel fills in ICMPv6's checksum.
func (p packet) prohibition() []byte {
	if p.from.Is6() {
		return append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, p.header...)
	}
	m := append([]byte{3, 13, 0, 0, 0, 0, 0, 0}, p.header...)
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	return m
}

// checksum is RFC 1071's.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
