package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"rootlet/slirp/egress"
)

// logGroup is of the middle's own: groups belong to network namespaces.
const logGroup = 1

// snapLength is what of a packet is sent to us: the headers.
const snapLength = 128

// Of linux/netfilter/nfnetlink_log.h.
const (
	packetMessage = unix.NFNL_SUBSYS_ULOG << 8
	configMessage = unix.NFNL_SUBSYS_ULOG<<8 | 1

	payloadAttribute = 9 // of a packetMessage

	commandAttribute = 1
	modeAttribute    = 2
	timeoutAttribute = 4

	bindCommand = 1
	copyPacket  = 2
)

// refusals are the packets that the kernel has refused. It tells us of them and drops
// them; the ICMP message is ours to send. The kernel's own would come while the connect is
// still on its way down, and be put off until the second try, a second later (tcp_v6_err).
type refusals struct {
	conn   *netlink.Conn
	policy *egress.Policy
	shown  map[netip.Addr]netip.Addr // what stands for an address that was translated
	icmp   map[bool]net.PacketConn   // by whether it is IPv6's; closed when read returns
}

// openRefusals listens to the group, in the namespace of this thread.
func openRefusals(p *egress.Policy, shown map[netip.Addr]netip.Addr) (*refusals, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, explain(err)
	}
	header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, 0}, logGroup) // struct nfgenmsg
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.Bytes(commandAttribute, []byte{bindCommand})
	ae.Bytes(modeAttribute, append(binary.BigEndian.AppendUint32(nil, snapLength), copyPacket, 0))
	ae.Uint32(timeoutAttribute, 1) // in hundredths of a second
	encoded, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: configMessage, Flags: netlink.Request | netlink.Acknowledge}, Data: append(header, encoded...),
	})
	if err != nil {
		return nil, explain(fmt.Errorf("nfnetlink_log: %w", err))
	}
	return &refusals{conn: c, policy: p, shown: shown, icmp: map[bool]net.PacketConn{}}, nil
}

// speakAs opens what sends ICMP messages, in the namespace of this thread.
func (r *refusals) speakAs(gateway netip.Addr) error {
	network := "ip4:icmp"
	if gateway.Is6() {
		network = "ip6:ipv6-icmp"
	}
	c, err := net.ListenPacket(network, gateway.String())
	if err != nil {
		return fmt.Errorf("the gateway: %w", err)
	}
	r.icmp[gateway.Is6()] = c
	return nil
}

// read counts and answers, for ever. A container that is refused faster than we read is
// counted short, and refused all the same.
func (r *refusals) read() error {
	for {
		messages, err := r.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			return fmt.Errorf("nfnetlink_log: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type == packetMessage && len(m.Data) > 4 {
				r.take(m.Data[4:])
			}
		}
	}
}

func (r *refusals) take(attributes []byte) {
	ad, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return
	}
	for ad.Next() {
		if ad.Type() != payloadAttribute {
			continue
		}
		if p, ok := parse(ad.Bytes()); ok {
			if ip, translated := r.shown[p.to.Addr()]; translated {
				p.readdress(ip)
			}
			r.policy.Refused(protocolName(p.protocol), p.to)
			r.answer(p)
		}
	}
}

// answer says that it is prohibited.
func (r *refusals) answer(p packet) {
	c := r.icmp[p.from.Is6()]
	if c == nil || !p.answered() {
		return
	}
	_, _ = c.WriteTo(p.prohibition(), &net.IPAddr{IP: p.from.AsSlice()})
}

// protocolName is egress.Refusal's, and the number of what it has no word for.
func protocolName(number byte) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return "icmp"
	}
	return "protocol-" + strconv.Itoa(int(number))
}
