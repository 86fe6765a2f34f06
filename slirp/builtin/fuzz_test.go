package builtin

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A fuzzed server has frames put in by hand; those that it sends are in out.
type fuzzed struct {
	*server
	out int
	in  *frameReader
}

// fuzzServer is made once for a process: gvisor's goroutines are many.
var fuzzServer = sync.OnceValues(func() (*fuzzed, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	a, err := addressesOf(DefaultNet4, DefaultNet6)
	if err != nil {
		return nil, err
	}
	l := newLink(DefaultMTU, false)
	l.only = &port{fd: ends[0], tap: os.NewFile(uintptr(ends[0]), Device)}
	s := &server{addresses: a, link: l, one: client{policy: permitNothing{}}}
	if s.guard, err = newGuard(a, false); err != nil {
		return nil, err
	}
	s.ctx, s.fail = context.WithCancelCause(context.Background())
	s.dns = newRelay(Options{DNS: []netip.AddrPort{{}}, Hosts: os.DevNull})
	s.flows = newFlowTable(time.Now)
	f := &fuzzed{server: s, out: ends[1], in: newFrameReader(false)}
	return f, s.build()
})

// put gives the server one frame.
func (f *fuzzed) put(frame []byte) {
	if len(frame) <= header.EthernetMinimumSize {
		return
	}
	copy(f.in.head[vnetHdrLen:], frame)
	n := copy(f.in.view.AsSlice(), frame[header.EthernetMinimumSize:])
	before := f.link.frames.Load()
	f.link.deliver(f.in, header.EthernetMinimumSize+n)
	if f.link.frames.Load() != before+1 {
		panic("a frame that was not counted: memory would not be given back after it")
	}
}

// take is a frame that the server has sent within a moment, or nil.
func (f *fuzzed) take() []byte {
	b := make([]byte, packetMax+headersLen)
	poll := []unix.PollFd{{Fd: int32(f.out), Events: unix.POLLIN}}
	if n, _ := unix.Poll(poll, 20); n == 0 {
		return nil
	}
	n, err := unix.Read(f.out, b)
	if err != nil {
		return nil
	}
	return b[:n]
}

var containerMAC = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x01")

func frame(protocol tcpip.NetworkProtocolNumber, packet []byte) []byte {
	eth := make(header.Ethernet, header.EthernetMinimumSize)
	eth.Encode(&header.EthernetFields{SrcAddr: containerMAC, DstAddr: ourMAC, Type: protocol})
	return append(eth, packet...)
}

// packet4 is an IPv4 packet of the container's.
func packet4(protocol tcpip.TransportProtocolNumber, to string, body []byte) []byte {
	ip := make(header.IPv4, header.IPv4MinimumSize)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(header.IPv4MinimumSize + len(body)), TTL: hops, Protocol: uint8(protocol),
		SrcAddr: address(netip.MustParseAddr("10.0.2.100")), DstAddr: address(netip.MustParseAddr(to)),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	return frame(header.IPv4ProtocolNumber, append(ip, body...))
}

func packet6(protocol tcpip.TransportProtocolNumber, to string, body []byte) []byte {
	ip := make(header.IPv6, header.IPv6MinimumSize)
	from, target := address(netip.MustParseAddr("fd00::100")), address(netip.MustParseAddr(to))
	ip.Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(body)), TransportProtocol: protocol, HopLimit: 255, SrcAddr: from, DstAddr: target,
	})
	if protocol == header.ICMPv6ProtocolNumber {
		sum := header.PseudoHeaderChecksum(protocol, from, target, uint16(len(body)))
		binary.BigEndian.PutUint16(body[2:], ^checksum.Checksum(body, sum))
	}
	return frame(header.IPv6ProtocolNumber, append(ip, body...))
}

func segment(port uint16, flags header.TCPFlags, seq, ack uint32, data []byte) []byte {
	b := make(header.TCP, header.TCPMinimumSize)
	b.Encode(&header.TCPFields{
		SrcPort: port, DstPort: dnsPort, SeqNum: seq, AckNum: ack, Flags: flags,
		DataOffset: header.TCPMinimumSize, WindowSize: 65535,
	})
	return append(b, data...)
}

func datagram(body []byte) []byte {
	b := make(header.UDP, header.UDPMinimumSize)
	b.Encode(&header.UDPFields{SrcPort: 4000, DstPort: dnsPort, Length: uint16(header.UDPMinimumSize + len(body))})
	return append(b, body...)
}

// neighbour tells the server the container's address, as an answer to its ARP would.
func neighbour() []byte {
	arp := make(header.ARP, header.ARPSize)
	arp.SetIPv4OverEthernet()
	arp.SetOp(header.ARPRequest)
	copy(arp.HardwareAddressSender(), containerMAC)
	copy(arp.ProtocolAddressSender(), []byte{10, 0, 2, 100})
	copy(arp.ProtocolAddressTarget(), []byte{10, 0, 2, 2})
	return frame(header.ARPProtocolNumber, arp)
}

// join makes an input of frames, each after its length.
func join(frames ...[]byte) (input []byte) {
	for _, f := range frames {
		input = append(binary.BigEndian.AppendUint16(input, uint16(len(f))), f...)
	}
	return input
}

// FuzzFrames sends any frames. What is found: a panic, here or in gvisor, and a
// bound that does not hold.
func FuzzFrames(f *testing.F) {
	echo := []byte{8, 0, 0, 0, 0, 1, 0, 1, 'x'}
	echo6 := []byte{128, 0, 0, 0, 0, 1, 0, 1, 'x'}
	solicit := slices.Concat([]byte{135, 0, 0, 0, 0, 0, 0, 0}, netip.MustParseAddr("fd00::2").AsSlice(), []byte{1, 1}, []byte(containerMAC))
	syn := segment(4000, header.TCPFlagSyn, 1, 0, nil)
	query := datagram(question(f, "name.test", 1))
	first := packet4(header.UDPProtocolNumber, "10.0.2.3", query)
	first[14+6] |= 0x20 // more fragments
	f.Add(join(neighbour(), packet4(header.TCPProtocolNumber, "10.0.2.2", syn), packet4(header.TCPProtocolNumber, "192.0.2.1", syn)))
	f.Add(join(packet4(header.UDPProtocolNumber, "10.0.2.3", query), packet4(header.UDPProtocolNumber, "192.0.2.1", query)))
	f.Add(join(first, packet4(header.ICMPv4ProtocolNumber, "10.0.2.2", echo), packet4(header.ICMPv4ProtocolNumber, "192.0.2.1", echo)))
	f.Add(join(packet6(header.ICMPv6ProtocolNumber, "ff02::1:ff00:2", solicit), packet6(header.ICMPv6ProtocolNumber, "2001:db8::1", echo6)))
	f.Add(join(packet6(header.TCPProtocolNumber, "fd00::3", syn), packet6(header.UDPProtocolNumber, "2001:db8::1", query)))
	f.Fuzz(func(t *testing.T, input []byte) {
		s, err := fuzzServer()
		if err != nil {
			t.Fatal(err)
		}
		for len(input) > 2 {
			n := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
			s.put(input[2 : 2+n])
			input = input[2+n:]
		}
		s.check(t)
	})
}

func (f *fuzzed) check(t *testing.T) {
	t.Helper()
	for buf := [1]byte{}; ; {
		if _, err := unix.Read(f.out, buf[:]); err != nil {
			break
		}
	}
	f.tcp.mu.Lock()
	defer f.tcp.mu.Unlock()
	f.flows.mu.Lock()
	defer f.flows.mu.Unlock()
	if len(f.tcp.attempts) > maxHalfOpen || len(f.tcp.open) > maxTCP || len(f.flows.flows) != 0 {
		t.Errorf("%d attempts, %d connections, %d flows", len(f.tcp.attempts), len(f.tcp.open), len(f.flows.flows))
	}
	if err := context.Cause(f.ctx); err != nil {
		t.Fatal(err)
	}
}

// FuzzSegments sends any segments on an open connection, that to the nameserver:
// numbers are counted from those of the handshake, so that they hit.
func FuzzSegments(f *testing.F) {
	f.Add(uint16(5000), join(segment(0, header.TCPFlagAck|header.TCPFlagPsh, 0, 0, []byte("\x00\x01x"))))
	f.Add(uint16(5001), join(segment(0, header.TCPFlagAck|header.TCPFlagFin, 0, 0, nil), segment(0, header.TCPFlagRst, 1, 0, nil)))
	f.Add(uint16(5002), join(segment(0, header.TCPFlagAck, 70000, 1000, make([]byte, 100)), segment(0, header.TCPFlagSyn, 0, 0, nil)))
	f.Fuzz(func(t *testing.T, port uint16, input []byte) {
		s, err := fuzzServer()
		if err != nil {
			t.Fatal(err)
		}
		s.put(neighbour())
		const ours = 1000
		s.put(packet4(header.TCPProtocolNumber, "10.0.2.3", segment(port, header.TCPFlagSyn, ours-1, 0, nil)))
		theirs, ok := s.handshake(port)
		if !ok {
			return
		}
		s.put(packet4(header.TCPProtocolNumber, "10.0.2.3", segment(port, header.TCPFlagAck, ours, theirs, nil)))
		for len(input) > 2 {
			n := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
			b := header.TCP(slices.Clone(input[2 : 2+n]))
			input = input[2+n:]
			if len(b) < header.TCPMinimumSize {
				continue
			}
			b.SetSourcePort(port)
			b.SetDestinationPort(dnsPort)
			b.SetSequenceNumber(b.SequenceNumber() + ours)
			b.SetAckNumber(b.AckNumber() + theirs)
			s.put(packet4(header.TCPProtocolNumber, "10.0.2.3", b))
		}
		s.put(packet4(header.TCPProtocolNumber, "10.0.2.3", segment(port, header.TCPFlagRst, ours, theirs, nil)))
		s.check(t)
	})
}

// handshake waits for the answer to a SYN: the number to acknowledge.
func (f *fuzzed) handshake(port uint16) (uint32, bool) {
	const tcpAt = header.EthernetMinimumSize + header.IPv4MinimumSize
	for range 20 {
		b := f.take()
		if b == nil {
			return 0, false
		}
		if len(b) < tcpAt+header.TCPMinimumSize || b[header.EthernetMinimumSize+9] != byte(header.TCPProtocolNumber) {
			continue
		}
		if s := header.TCP(b[tcpAt:]); s.DestinationPort() == port && s.Flags() == header.TCPFlagSyn|header.TCPFlagAck {
			return s.SequenceNumber() + 1, true
		}
	}
	return 0, false
}
