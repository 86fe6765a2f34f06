package builtin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A link is the tap as gvisor's stack sees it: an Ethernet device that segments
// and sums by itself. Package fdbased would do but for its GSO, which it has for
// sockets alone, and for a payload that it scatters over ten buffers.
type link struct {
	tap  *os.File
	raw  syscall.RawConn
	fd   int
	vnet bool // each frame has a virtio_net_hdr before it
	mtu  uint32

	mu     sync.RWMutex // held for reading while a frame is written to fd
	closed bool
	upper  stack.NetworkDispatcher

	stopped atomic.Bool
	frames  atomic.Uint64 // that came
	// accept looks at each packet before the stack does.
	accept func(protocol tcpip.NetworkProtocolNumber, packet []byte) bool
}

// ourMAC is the gateway's, locally administered, as slirp makes it from 10.0.2.2.
const ourMAC = tcpip.LinkAddress("\x52\x55\x0a\x00\x02\x02")

func newLink(tap *os.File, mtu int) (*link, error) {
	raw, err := tap.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &link{tap: tap, raw: raw, mtu: uint32(mtu)}
	var askErr error
	err = raw.Control(func(fd uintptr) {
		l.fd = int(fd)
		l.vnet, askErr = vnetHeader(l.fd)
	})
	return l, errors.Join(err, askErr)
}

// run reads frames until stop, or until the device is gone.
func (l *link) run() error {
	in := newFrameReader(l.vnet)
	defer in.view.Release()
	var fault error
	err := l.raw.Read(func(fd uintptr) bool {
		for !l.stopped.Load() {
			n, errno := in.read(fd)
			switch {
			case errno == unix.EAGAIN:
				return false
			case errno == unix.EINTR:
			case errno != 0:
				// EBADFD: the network namespace is gone, and the device with it.
				fault = fmt.Errorf("read from the tap: %w", errno)
				return true
			default:
				l.deliver(in, n)
			}
		}
		return true
	})
	switch {
	case l.stopped.Load():
		return nil
	case fault == nil && err != nil:
		// A device that goes while it is waited for is to the runtime one that cannot
		// be polled; the errno says more.
		_ = l.raw.Control(func(fd uintptr) {
			if _, errno := in.read(fd); errno != 0 {
				err = fmt.Errorf("read from the tap: %w", errno)
			}
		})
	}
	return firstError(fault, err)
}

// stop makes run return.
func (l *link) stop() {
	l.stopped.Store(true)
	_ = l.tap.SetReadDeadline(past)
}

// deliver hands a frame of n bytes to the stack.
func (l *link) deliver(in *frameReader, n int) {
	l.frames.Add(1)
	eth, size := in.ethernet(), n-in.headers()
	if size <= 0 {
		return
	}
	protocol := eth.Type()
	if l.accept != nil && !l.accept(protocol, in.view.AsSlice()[:size]) {
		return
	}
	l.mu.RLock()
	upper := l.upper
	l.mu.RUnlock()
	if upper == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: in.take(size)})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber = protocol
	pkt.PktType = tcpip.PacketHost
	if to := eth.DestinationAddress(); header.IsMulticastEthernetAddress(to) {
		pkt.PktType = tcpip.PacketMulticast
	}
	upper.DeliverNetworkPacket(protocol, pkt)
}

// WritePackets implements stack.LinkEndpoint. What the device does not take is
// lost, as on any wire.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return 0, &tcpip.ErrClosedForSend{}
	}
	for _, pkt := range list.AsSlice() {
		l.write(pkt)
	}
	return list.Len(), nil
}

func (l *link) write(pkt *stack.PacketBuffer) {
	var head [vnetHdrLen]byte
	var few [8]unix.Iovec
	iov := few[:0]
	if l.vnet {
		offload(&head, pkt)
		iov = append(iov, iovec(head[:]))
	}
	for _, s := range pkt.AsSlices() {
		if len(s) > 0 && len(iov) < maxIovecs {
			iov = append(iov, iovec(s))
		}
	}
	// Not raw: the kernel may hand the frame to the container's socket at once.
	_, _, _ = unix.Syscall(unix.SYS_WRITEV, uintptr(l.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
}

const maxIovecs = 1024 // UIO_MAXIOV

func iovec(b []byte) unix.Iovec {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return v
}

// offload says in a virtio_net_hdr (virtio 1.2, 5.1.6) what the stack has left to
// do in a packet: the checksum, and the cutting where it is above the MSS.
func offload(h *[vnetHdrLen]byte, pkt *stack.PacketBuffer) {
	const needsCsum, gsoTCP4, gsoTCP6 = 1, 1, 4
	gso := pkt.GSOOptions
	if gso.Type == stack.GSONone || !gso.NeedsCsum {
		return
	}
	h[0] = needsCsum
	binary.NativeEndian.PutUint16(h[6:], header.EthernetMinimumSize+gso.L3HdrLen)
	binary.NativeEndian.PutUint16(h[8:], gso.CsumOffset)
	if pkt.Data().Size() <= int(gso.MSS) {
		return
	}
	h[1] = gsoTCP4
	if gso.Type == stack.GSOTCPv6 {
		h[1] = gsoTCP6
	}
	binary.NativeEndian.PutUint16(h[2:], uint16(pkt.HeaderSize()))
	binary.NativeEndian.PutUint16(h[4:], gso.MSS)
}

// close lets no more frame out and closes the tap.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.upper = true, nil
	_ = l.tap.Close()
}

// The rest of stack.LinkEndpoint and stack.GSOEndpoint.

// Attach takes the stack's end, or nil.
func (l *link) Attach(upper stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.upper = upper
}

// IsAttached says whether there is one.
func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.upper != nil
}

// AddHeader writes the Ethernet header.
func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// Capabilities: the container's kernel is trusted with its own checksums; a wrong
// one harms nobody but the container.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// SupportedGSO is on where the tap takes a virtio_net_hdr.
func (l *link) SupportedGSO() stack.SupportedGSO {
	if l.vnet {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize is an IP packet's.
func (l *link) GSOMaxSize() uint32 { return packetMax - 1 }

// MTU is the container's.
func (l *link) MTU() uint32 { return l.mtu }

// SetMTU changes nothing: the container's interface has the same.
func (l *link) SetMTU(uint32) {}

// MaxHeaderLength is Ethernet's.
func (l *link) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress is the gateway's.
func (l *link) LinkAddress() tcpip.LinkAddress { return ourMAC }

// SetLinkAddress changes nothing.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Wait: run is waited for by Serve.
func (l *link) Wait() {}

// ARPHardwareType is Ethernet.
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// ParseHeader has nothing left to parse.
func (l *link) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close leaves the tap to Serve.
func (l *link) Close() {}

// SetOnCloseAction has no action to take.
func (l *link) SetOnCloseAction(func()) {}
