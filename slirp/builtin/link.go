package builtin

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A link is what gvisor's stack sees of the taps: an Ethernet device that segments
// and sums by itself. Package fdbased would do but for its GSO, which it has for
// sockets alone, and for a payload that it scatters over ten buffers.
type link struct {
	vnet bool // each frame has a virtio_net_hdr before it
	mtu  uint32

	mu     sync.RWMutex // held for reading while a frame is written
	closed bool
	upper  stack.NetworkDispatcher
	only   *port                       // the one container's; nil where there is a Switch
	ports  map[tcpip.LinkAddress]*port // a Switch's

	frames atomic.Uint64 // that came
	// accept looks at each packet before the stack does.
	accept func(protocol tcpip.NetworkProtocolNumber, packet []byte) bool
}

// ourMAC is the gateway's, locally administered, as slirp makes it from 10.0.2.2.
const ourMAC = tcpip.LinkAddress("\x52\x55\x0a\x00\x02\x02")

// GatewayMAC is the same, as a Member's: none may have it.
const GatewayMAC = string(ourMAC)

func newLink(mtu int, vnet bool) *link { return &link{mtu: uint32(mtu), vnet: vnet} }

// deliver hands a frame of n bytes to the stack.
func (l *link) deliver(in *frameReader, n int) {
	l.frames.Add(1)
	size := n - in.headers()
	protocol := in.ethernet().Type()
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
	if to := in.ethernet().DestinationAddress(); header.IsMulticastEthernetAddress(to) {
		pkt.PktType = tcpip.PacketMulticast
	}
	upper.DeliverNetworkPacket(protocol, pkt)
}

// WritePackets implements stack.LinkEndpoint.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return 0, &tcpip.ErrClosedForSend{}
	}
	for _, pkt := range list.AsSlice() {
		p := l.only
		if p == nil {
			p = l.ports[pkt.EgressRoute.RemoteLinkAddress]
		}
		if p != nil {
			l.write(p, pkt)
		}
	}
	return list.Len(), nil
}

func (l *link) write(p *port, pkt *stack.PacketBuffer) {
	var head [vnetHdrLen]byte
	var few [8]unix.Iovec
	frame := few[:0]
	if l.vnet {
		offload(&head, pkt)
		frame = append(frame, part(head[:]))
	}
	for _, s := range pkt.AsSlices() {
		if len(s) > 0 && len(frame) < maxIovecs {
			frame = append(frame, part(s))
		}
	}
	p.send(frame)
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

// close lets no more frame out and closes the taps.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.upper = true, nil
	if l.only != nil {
		l.only.close()
	}
	for _, p := range l.ports {
		p.close()
	}
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
