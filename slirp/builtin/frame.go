package builtin

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	vnetHdrLen = 10 // struct virtio_net_hdr
	headersLen = vnetHdrLen + header.EthernetMinimumSize
	// packetMax is an IP packet's longest, and the largest buffer that gvisor pools.
	packetMax = buffer.MaxChunkSize
	// keepWhole is the size from which a packet stays in the buffer that it was read
	// into; smaller ones are copied, so that what waits in a queue wastes little.
	keepWhole = packetMax / 4
)

// A frameReader reads one frame with one call, its packet apart from its headers.
type frameReader struct {
	head [headersLen]byte
	skip int // what of head is not there
	view *buffer.View
	iov  [2]unix.Iovec
}

func newFrameReader(vnet bool) *frameReader {
	in := &frameReader{view: buffer.NewViewSize(packetMax)}
	if !vnet {
		in.skip = vnetHdrLen
	}
	return in
}

func (in *frameReader) headers() int { return headersLen - in.skip }

func (in *frameReader) ethernet() header.Ethernet { return header.Ethernet(in.head[vnetHdrLen:]) }

func (in *frameReader) read(fd uintptr) (int, syscall.Errno) {
	packet := in.view.AsSlice()
	in.iov[0].Base, in.iov[1].Base = &in.head[in.skip], &packet[0]
	in.iov[0].SetLen(in.headers())
	in.iov[1].SetLen(len(packet))
	n, _, errno := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&in.iov[0])), 2)
	return int(n), errno
}

// take is the packet's size bytes. A large one stays where it was read, but for its
// headers: those that share a buffer with a payload are copied by gvisor together
// with it, when it looks at them after the payload was queued.
func (in *frameReader) take(size int) buffer.Buffer {
	packet := in.view.AsSlice()[:size]
	if size < keepWhole {
		return buffer.MakeWithView(buffer.NewViewWithData(packet))
	}
	whole := in.view
	in.view = buffer.NewViewSize(packetMax)
	whole.CapLength(size)
	n := tcpHeaders(packet)
	if n == 0 {
		return buffer.MakeWithView(whole)
	}
	b := buffer.MakeWithView(buffer.NewViewWithData(packet[:n]))
	whole.TrimFront(n)
	_ = b.Append(whole)
	return b
}

// tcpHeaders is the length of a TCP packet's headers; 0 is something else.
func tcpHeaders(packet []byte) int {
	at := tcpAt(packet)
	if at == 0 || len(packet) < at+header.TCPMinimumSize {
		return 0
	}
	n := at + int(header.TCP(packet[at:]).DataOffset())
	if n >= len(packet) {
		return 0
	}
	return n
}

// tcpAt is where a packet's TCP header begins; 0 is a packet without one, such as
// a later fragment, or one that is too short to say.
func tcpAt(packet []byte) int {
	switch {
	case len(packet) < header.IPv4MinimumSize:
	case packet[0]>>4 == header.IPv4Version:
		ip := header.IPv4(packet)
		if ip.Protocol() == byte(header.TCPProtocolNumber) && ip.FragmentOffset() == 0 {
			return int(ip.HeaderLength())
		}
	case packet[0]>>4 == header.IPv6Version && len(packet) >= header.IPv6MinimumSize:
		if header.IPv6(packet).NextHeader() == byte(header.TCPProtocolNumber) {
			return header.IPv6MinimumSize
		}
	}
	return 0
}
