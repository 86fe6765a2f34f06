package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"rootlet/slirp/builtin"
)

// tap is the middle's interface towards the driver, and the container's towards us.
const tap = builtin.Device

// link is a routing socket in the namespace of the thread that opened it.
type link struct{ *netlink.Conn }

func openLink() (link, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return link{}, fmt.Errorf("open a routing socket: %w", err)
	}
	return link{c}, nil
}

func (l link) request(kind, flags int, header []byte, attributes func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	attributes(ae)
	encoded, err := ae.Encode()
	if err != nil {
		return err
	}
	_, err = l.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | netlink.Acknowledge | netlink.HeaderFlags(flags)},
		Data:   append(header, encoded...),
	})
	return err
}

// removeTap takes away what an earlier gate has left in the container, if anything.
func (l link) removeTap() error {
	err := l.request(unix.RTM_DELLINK, 0, make([]byte, unix.SizeofIfInfomsg), func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, tap)
	})
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// Attributes of linux/veth.h and linux/if_link.h.
const vethInfoPeer = 1

// makePair makes inner here and tap in the container, each the other's end.
func (l link) makePair(container *os.File, mtu int) error {
	connection, err := container.SyscallConn()
	if err != nil {
		return err
	}
	var requestErr error
	err = connection.Control(func(fd uintptr) {
		requestErr = l.request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, make([]byte, unix.SizeofIfInfomsg), func(ae *netlink.AttributeEncoder) {
			ae.String(unix.IFLA_IFNAME, inner)
			ae.Uint32(unix.IFLA_MTU, uint32(mtu))
			ae.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
				info.String(unix.IFLA_INFO_KIND, "veth")
				info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
					data.Do(vethInfoPeer, func() ([]byte, error) {
						peer := netlink.NewAttributeEncoder()
						peer.String(unix.IFLA_IFNAME, tap)
						peer.Uint32(unix.IFLA_MTU, uint32(mtu))
						peer.Uint32(unix.IFLA_NET_NS_FD, uint32(fd))
						encoded, err := peer.Encode()
						return append(make([]byte, unix.SizeofIfInfomsg), encoded...), err
					})
					return nil
				})
				return nil
			})
		})
	})
	return errors.Join(err, requestErr)
}

// up brings an interface up.
func (l link) up(index int) error {
	header := make([]byte, unix.SizeofIfInfomsg)
	native.PutUint32(header[4:], uint32(index))
	native.PutUint32(header[8:], unix.IFF_UP)
	native.PutUint32(header[12:], unix.IFF_UP) // the bits to change
	return l.request(unix.RTM_NEWLINK, 0, header, func(*netlink.AttributeEncoder) {})
}

// awaitRunning waits until an interface sends. The kernel has it begin from a work queue,
// once the other end is up, and loses what is sent before: an answer to a question for a
// neighbour, which is asked again a second later.
func (l link) awaitRunning(index int) {
	const tries, pause = 1000, time.Millisecond
	header := make([]byte, unix.SizeofIfInfomsg)
	native.PutUint32(header[4:], uint32(index))
	for range tries {
		answers, err := l.Execute(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: header})
		if err != nil || len(answers) == 0 || len(answers[0].Data) < len(header) || native.Uint32(answers[0].Data[8:])&unix.IFF_RUNNING != 0 {
			return
		}
		time.Sleep(pause)
	}
}

// address gives an interface one. IPv6 looks for no other that has it (RFC 4862): it could
// not be used for a second.
func (l link) address(index int, ip netip.Addr, bits int) error {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1], header[3] = unix.AF_INET, byte(bits), unix.RT_SCOPE_UNIVERSE
	if ip.Is6() {
		header[0] = unix.AF_INET6
	}
	native.PutUint32(header[4:], uint32(index))
	return l.request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, header, func(ae *netlink.AttributeEncoder) {
		ae.Bytes(unix.IFA_LOCAL, ip.AsSlice())
		ae.Bytes(unix.IFA_ADDRESS, ip.AsSlice())
		if ip.Is6() {
			ae.Uint32(unix.IFA_FLAGS, unix.IFA_F_NODAD|unix.IFA_F_PERMANENT)
		}
	})
}
