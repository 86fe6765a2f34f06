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

// take is the packet's size bytes. gvisor copies a payload once more when it looks
// at the headers beside it after having queued it; headers in a buffer of their own
// save that copy, and cost an eighth of the throughput to the host all the same,
// which was measured and not understood.
func (in *frameReader) take(size int) buffer.Buffer {
	if size < keepWhole {
		return buffer.MakeWithView(buffer.NewViewWithData(in.view.AsSlice()[:size]))
	}
	whole := in.view
	whole.CapLength(size)
	in.view = buffer.NewViewSize(packetMax)
	return buffer.MakeWithView(whole)
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
