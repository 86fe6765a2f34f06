package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// probeWait is how long an attempt may take: a refusal comes at once, and silence is as
// good.
const probeWait = 300 * time.Millisecond

// egressProbe tries all ways out of a container but the one that is allowed, as its root
// with every capability. What it prints is as it should be, or is not; whether a packet
// got out, the world knows.
func egressProbe() error {
	if err := pageFrom(worldAllowed); err != nil {
		fmt.Println("cannot reach what is allowed:", err)
	}
	sockets()
	namesOut()
	rawSockets()
	frames()
	otherwise()
	if err := pageFrom(worldAllowed); err != nil {
		fmt.Println("cannot reach what is allowed any more:", err)
	}
	fmt.Println("as it should: all tried")
	return nil
}

// tried prints what came of an attempt that must come to nothing.
func tried(what string, got bool) {
	if got {
		fmt.Println("got out:", what)
		return
	}
	fmt.Println("as it should: nothing by", what)
}

// pageFrom reads a page.
func pageFrom(address string) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	if n > 0 && strings.HasPrefix(string(answer), "HTTP/1.") {
		return nil
	}
	return fmt.Errorf("answer %q: %w", answer[:n], err)
}

// connects reports whether a TCP connection is made, and answered over.
func connects(network, address string) bool {
	conn, err := net.DialTimeout(network, address, probeWait)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeWait))
	_, _ = fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	n, _ := conn.Read(make([]byte, 1))
	return n > 0
}

// answers reports whether a datagram is answered.
func answers(address string, datagram []byte) bool {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeWait))
	_, _ = conn.Write(datagram)
	n, err := conn.Read(make([]byte, 1500))
	return err == nil && n > 0
}

// sockets tries what every program can: other addresses, other ports, other protocols.
func sockets() {
	for _, address := range []string{
		worldIP + ":8081", worldIP + ":53", worldIP + ":0", worldOther + ":8080", worldInsideIP + ":8080", worldNames + ":53",
		"[" + worldIP6 + "]:8080", "[" + worldOther6 + "]:8080", "[::ffff:" + worldOther + "]:8080", "[64:ff9b::" + worldOther + "]:8080",
		"192.0.2.1:8080", "10.0.2.2:8080", "169.254.169.254:80",
	} {
		tried("tcp "+address, connects("tcp", address))
	}
	for _, address := range []string{worldIP + ":8081", worldOther + ":8080", worldInsideIP + ":8080", "[" + worldIP6 + "]:8080", "192.0.2.255:8080", "224.0.0.251:5353"} {
		tried("udp "+address, answers(address, []byte("anybody there")))
	}
	for _, to := range []string{worldOther, worldNames, worldIP6, worldOther6} {
		tried("echo to "+to, echoed(to))
	}
}

// echoed reports whether an echo request is answered (icmp(7), IPPROTO_ICMP datagrams).
func echoed(to string) bool {
	ip := netip.MustParseAddr(to)
	family, protocol, kind := unix.AF_INET, unix.IPPROTO_ICMP, byte(8)
	var address unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte(ip.AsSlice()[:4])}
	if ip.Is6() {
		family, protocol, kind = unix.AF_INET6, unix.IPPROTO_ICMPV6, 128
		address = &unix.SockaddrInet6{Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, protocol)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(int64(probeWait))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
	if unix.Sendto(fd, []byte{kind, 0, 0, 0, 0, 0, 0, 1, 'h', 'i'}, 0, address) != nil {
		return false
	}
	answer := make([]byte, 1500)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	return err == nil && n > 0 && (answer[0] == 0 || answer[0] == 129)
}

// question asks for an address, in DNS.
func question(name string) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	text, _ := m.Pack()
	return text
}

// namesOut tries to say something by the names that it asks for, asks others than its own
// name server, and goes to a private address by an allowed name.
func namesOut() {
	for _, server := range []string{worldNames, worldIP, worldOther, "[" + worldIP6 + "]"} {
		tried("a question to "+server, answers(server+":53", question(worldSecret)))
	}
	for _, name := range []string{worldSecret, "a." + worldInside, "x.192.0.2.10", "_x._tcp." + worldSecret} {
		_, err := net.LookupHost(name)
		tried("the name "+name, err == nil)
	}
	addresses, _ := net.LookupHost(worldInside)
	tried("an allowed name that leads to "+strings.Join(addresses, " "), connects("tcp", worldInsideIP+":8080") || connects("tcp", worldInside+":8080"))
}

// rawSockets tries packets that the kernel would not make.
func rawSockets() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		fmt.Println("no raw socket, with every capability:", err)
		return
	}
	defer unix.Close(fd)
	for _, p := range packets4() {
		to := [4]byte(p.packet[16:])
		_ = unix.Sendto(fd, p.packet, 0, &unix.SockaddrInet4{Addr: to})
	}
	for _, protocol := range []int{unix.IPPROTO_ICMP, unix.IPPROTO_SCTP, unix.IPPROTO_GRE, unix.IPPROTO_ESP, 253} {
		other, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, protocol)
		if err != nil {
			continue
		}
		for _, to := range []string{worldIP, worldOther} {
			_ = unix.Sendto(other, []byte{8, 0, 0, 0, 0, 0, 0, 1, 'h', 'i'}, 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()})
		}
		unix.Close(other)
	}
	fmt.Println("as it should: raw packets are sent, for the world to tell")
}

// frames tries what the kernel's routes and addresses have no say in.
func frames() {
	link, err := net.InterfaceByName("tap0")
	if err != nil {
		fmt.Println("no tap0:", err)
		return
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		fmt.Println("no packet socket, with every capability:", err)
		return
	}
	defer unix.Close(fd)
	gateway := []byte{0x52, 0x55, 10, 0, 2, 2}
	for _, to := range [][]byte{gateway, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {2, 0, 0, 0, 0, 1}} {
		for _, p := range append(packets4(), packets6()...) {
			frame := append(append([]byte{}, to...), link.HardwareAddr...)
			frame = append(binary.BigEndian.AppendUint16(frame, p.kind), p.packet...)
			_ = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index, Halen: 6})
		}
	}
	fmt.Println("as it should: frames are sent, for the world to tell")
}

// otherwise takes other addresses and routes, and tries again.
func otherwise() {
	for _, command := range []string{
		"ip addr add 192.0.2.77/32 dev tap0", "ip route replace default dev tap0", "ip route replace " + worldOther + " dev tap0 src 192.0.2.77",
	} {
		words := strings.Fields(command)
		if output, err := exec.Command("/bin/ip", words[1:]...).CombinedOutput(); err != nil {
			fmt.Printf("%s: %v: %s\n", command, err, output)
		}
	}
	tried("another address and route", connects("tcp", worldOther+":8080"))
	_ = exec.Command("/bin/ip", "route", "replace", "default", "via", "10.0.2.2", "dev", "tap0").Run()
}

// crafted is a packet to be put into a frame.
type crafted struct {
	kind   uint16
	packet []byte
}

// packets4 are IPv4 packets to where the container may not go, from itself and from
// others, by way of whom it may go to, in pieces and in each other.
func packets4() []crafted {
	at := func(text string) []byte { a := netip.MustParseAddr(text).As4(); return a[:] }
	var list []crafted
	add := func(packet []byte) { list = append(list, crafted{unix.ETH_P_IP, packet}) }
	syn, datagram := segment(8080), udp(8080)
	for _, from := range []string{"10.0.2.100", "10.0.2.2", "10.0.2.77", "127.0.0.1", "192.0.2.1", worldIP} {
		add(ipv4(unix.IPPROTO_TCP, at(from), at(worldOther), nil, 0, syn))
		add(ipv4(unix.IPPROTO_UDP, at(from), at(worldOther), nil, 0, datagram))
	}
	from := at("10.0.2.100")
	for _, route := range []byte{131, 137} { // loose and strict source routes (RFC 791): by the allowed to the other, and back
		options := append([]byte{1, route, 7, 4}, at(worldOther)...)
		add(ipv4(unix.IPPROTO_TCP, from, at(worldIP), options, 0, segment(8081)))
		add(ipv4(unix.IPPROTO_TCP, from, at(worldOther), append([]byte{1, route, 7, 4}, at(worldIP)...), 0, syn))
	}
	const more = 0x2000
	add(ipv4(unix.IPPROTO_UDP, from, at(worldOther), nil, more, datagram[:8]))
	add(ipv4(unix.IPPROTO_UDP, from, at(worldOther), nil, 1, []byte("the rest")))
	add(ipv4(unix.IPPROTO_TCP, from, at(worldOther), nil, more, syn[:16]))
	add(ipv4(unix.IPPROTO_TCP, from, at(worldOther), nil, 2, syn[16:]))
	inner := ipv4(unix.IPPROTO_TCP, at("192.0.2.1"), at(worldOther), nil, 0, syn)
	add(ipv4(unix.IPPROTO_IPIP, from, at(worldIP), nil, 0, inner))
	add(ipv4(unix.IPPROTO_GRE, from, at(worldIP), nil, 0, append([]byte{0, 0, 8, 0}, inner...)))
	add(ipv4(unix.IPPROTO_SCTP, from, at(worldOther), nil, 0, make([]byte, 32)))
	add(ipv4(unix.IPPROTO_ICMP, from, at(worldOther), nil, 0, echo(8)))
	add(ipv4(unix.IPPROTO_UDP, from, at("255.255.255.255"), nil, 0, datagram))
	return list
}

// packets6 are the same for IPv6, with its extension headers.
func packets6() []crafted {
	at := func(text string) []byte { a := netip.MustParseAddr(text).As16(); return a[:] }
	var list []crafted
	add := func(next byte, from, to string, body []byte) {
		list = append(list, crafted{unix.ETH_P_IPV6, ipv6(next, at(from), at(to), body)})
	}
	for _, from := range []string{"fd00::100", "fd00::2", "2001:db8::1", "::1"} {
		for _, to := range []string{worldIP6, worldOther6} {
			add(unix.IPPROTO_TCP, from, to, segment(8080))
			add(unix.IPPROTO_UDP, from, to, udp(8080))
			add(unix.IPPROTO_ICMPV6, from, to, echo(128))
		}
		// A routing header of type 0 (RFC 5095), and one of nothing but options.
		route := append([]byte{unix.IPPROTO_TCP, 2, 0, 1, 0, 0, 0, 0}, at(worldOther6)...)
		add(unix.IPPROTO_ROUTING, from, worldIP6, append(route, segment(8080)...))
		add(unix.IPPROTO_DSTOPTS, from, worldOther6, append([]byte{unix.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0}, segment(8080)...))
		add(unix.IPPROTO_FRAGMENT, from, worldOther6, append([]byte{unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 9}, udp(8080)...))
	}
	return list
}

// ipv4 has the checksum that the kernel would have made.
func ipv4(protocol byte, from, to, options []byte, fragment uint16, body []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	header := make([]byte, 20, 20+len(options))
	header[0], header[8], header[9] = byte(0x45+len(options)/4), 64, protocol
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(options)+len(body)))
	binary.BigEndian.PutUint16(header[4:], 77)
	binary.BigEndian.PutUint16(header[6:], fragment)
	copy(header[12:], from)
	copy(header[16:], to)
	header = append(header, options...)
	binary.BigEndian.PutUint16(header[10:], checksum(0, header))
	if fragment == 0 {
		body = sealed(protocol, from, to, body)
	}
	return append(header, body...)
}

func ipv6(next byte, from, to, body []byte) []byte {
	header := make([]byte, 40)
	header[0], header[6], header[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(header[4:], uint16(len(body)))
	copy(header[8:], from)
	copy(header[24:], to)
	return append(header, sealed(next, from, to, body)...)
}

// sealed is the body with its checksum, where one is known to be due.
func sealed(protocol byte, from, to, body []byte) []byte {
	at, known := map[byte]int{unix.IPPROTO_TCP: 16, unix.IPPROTO_UDP: 6, unix.IPPROTO_ICMP: 2, unix.IPPROTO_ICMPV6: 2}[protocol]
	if !known {
		return body
	}
	body = append([]byte{}, body...)
	var pseudo []byte
	if protocol != unix.IPPROTO_ICMP {
		pseudo = append(append(pseudo, from...), to...)
		pseudo = append(pseudo, 0, protocol)
		pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(body)))
	}
	binary.BigEndian.PutUint16(body[at:], checksum(0, append(pseudo, body...)))
	return body
}

// checksum is the Internet checksum (RFC 1071).
func checksum(start uint32, data []byte) uint16 {
	if len(data)%2 != 0 {
		data = append(append([]byte{}, data...), 0)
	}
	for i := 0; i < len(data); i += 2 {
		start += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return ^uint16(start)
}

// segment is a SYN to a port.
func segment(port uint16) []byte {
	s := make([]byte, 20)
	binary.BigEndian.PutUint16(s, 40000)
	binary.BigEndian.PutUint16(s[2:], port)
	binary.BigEndian.PutUint32(s[4:], 1)
	s[12], s[13] = 5<<4, 2
	binary.BigEndian.PutUint16(s[14:], 65535)
	return s
}

func udp(port uint16) []byte {
	d := make([]byte, 8, 24)
	binary.BigEndian.PutUint16(d, 40000)
	binary.BigEndian.PutUint16(d[2:], port)
	d = append(d, "anybody there"...)
	binary.BigEndian.PutUint16(d[4:], uint16(len(d)))
	return d
}

func echo(kind byte) []byte { return []byte{kind, 0, 0, 0, 0, 9, 0, 1, 'h', 'i'} }
