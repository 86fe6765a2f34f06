package builtin

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// configure brings lo and an interface of this thread's namespace up. The messages
// are few and fixed, so they are written by hand (rtnetlink(7)); the kernel takes
// them in order from one datagram.
func configure(i Interface) error {
	return i.change(func(index int) []step {
		steps := append([]step{{"bring " + i.Name + " up", linkMessage(index, i.MTU, i.MAC)}}, i.addresses(index)...)
		steps = append(steps, step{"bring lo up", linkMessage(1, 0, "")})
		return append(steps, i.routes(index)...)
	})
}

// SetAddress gives an interface that is there its addresses and default routes, and has
// the kernel take none from router advertisements. The caller is OpenInterface's.
func SetAddress(netns int, i Interface) error {
	return linux.InNetwork(netns, func() error {
		// Best effort: procfs is read-only in a container around us.
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+i.Name+"/accept_ra", []byte("0"), 0)
		return i.change(func(index int) []step { return append(i.addresses(index), i.routes(index)...) })
	})
}

// SetRoutes gives a network namespace the default routes of an interface that is there.
// The caller is OpenInterface's.
func SetRoutes(netns int, i Interface) error {
	i.Address6 = netip.Prefix{} // which is there
	return linux.InNetwork(netns, func() error { return i.change(i.routes) })
}

// change takes steps on an interface of this thread's namespace.
func (i Interface) change(steps func(index int) []step) error {
	index, err := interfaceIndex(i.Name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer unix.Close(fd)
	for n, s := range steps(index) {
		s.message.finish(uint32(n + 1))
		if err := exchange(fd, s.message); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if i.Address6.IsValid() {
		awaitLocal(fd, i.Address6.Addr())
	}
	return nil
}

// addresses has IPv6 first, because of awaitLocal.
func (i Interface) addresses(index int) (steps []step) {
	for _, address := range []netip.Prefix{i.Address6, i.Address4} {
		if address.IsValid() {
			steps = append(steps, step{"give " + i.Name + " its address", addressMessage(index, address.Addr(), address.Bits())})
		}
	}
	return steps
}

func (i Interface) routes(index int) (steps []step) {
	for _, gateway := range []netip.Addr{i.Gateway4, i.Gateway6} {
		if gateway.IsValid() {
			steps = append(steps, step{"set the default route", routeMessage(index, gateway)})
		}
	}
	return steps
}

// awaitLocal waits until the kernel takes packets for a new IPv6 address: it adds
// the route that says so from a work queue (addrconf_dad_work), at once or some
// milliseconds later. An answer to the first question for a neighbour would
// be lost until then, and the second is asked a second later.
func awaitLocal(fd int, ip netip.Addr) {
	const tries, pause = 5000, 100 * time.Microsecond
	for i := range uint32(tries) {
		const firstSeq = 100
		if kind, err := routeType(fd, firstSeq+i, ip); err != nil || kind == unix.RTN_LOCAL {
			return
		}
		time.Sleep(pause)
	}
}

type step struct {
	name    string
	message message
}

func interfaceIndex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("look up %s: %w", name, err)
	}
	return int(ifr.Uint32()), nil
}

// A message is one netlink request.
type message []byte

func newMessage(kind, flags uint16, family byte, rest ...byte) message {
	m := make(message, unix.NLMSG_HDRLEN, 128)
	binary.NativeEndian.PutUint16(m[4:], kind)
	binary.NativeEndian.PutUint16(m[6:], flags|unix.NLM_F_REQUEST)
	return append(append(m, family), rest...)
}

// finish fills in what is known last; seq numbers the answer.
func (m message) finish(seq uint32) {
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	binary.NativeEndian.PutUint32(m[8:], seq)
}

func (m message) add(kind uint16, value []byte) message {
	m = binary.NativeEndian.AppendUint16(m, uint16(unix.SizeofRtAttr+len(value)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = append(m, value...)
	for len(m)%unix.NLMSG_ALIGNTO != 0 {
		m = append(m, 0)
	}
	return m
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// linkMessage brings an interface up; mtu 0 and an empty mac leave what it has.
func linkMessage(index, mtu int, mac string) message {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_ACK, unix.AF_UNSPEC, 0, 0, 0)
	m = append(m, word(uint32(index))...)
	m = append(m, word(unix.IFF_UP)...)
	m = append(m, word(unix.IFF_UP)...) // the bits to change
	if mtu != 0 {
		m = m.add(unix.IFLA_MTU, word(uint32(mtu)))
	}
	if mac != "" {
		m = m.add(unix.IFLA_ADDRESS, []byte(mac))
	}
	return m
}

func addressMessage(index int, ip netip.Addr, bits int) message {
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL, family(ip), byte(bits), 0, unix.RT_SCOPE_UNIVERSE)
	m = append(m, word(uint32(index))...)
	m = m.add(unix.IFA_LOCAL, ip.AsSlice()).add(unix.IFA_ADDRESS, ip.AsSlice())
	if ip.Is6() {
		// Nobody else is on this link, and duplicate address detection (RFC 4862)
		// would keep the address unusable for a second.
		m = m.add(unix.IFA_FLAGS, word(unix.IFA_F_NODAD|unix.IFA_F_PERMANENT))
	}
	return m
}

func routeMessage(index int, gateway netip.Addr) message {
	m := newMessage(unix.RTM_NEWROUTE, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL, family(gateway),
		0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
	m = append(m, word(0)...) // flags
	return m.add(unix.RTA_GATEWAY, gateway.AsSlice()).add(unix.RTA_OIF, word(uint32(index)))
}

func family(ip netip.Addr) byte {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// exchange sends a request and waits for the kernel's acknowledgement.
func exchange(fd int, m message) error {
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 1024)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return unix.EBADMSG
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}

// routeType asks for the kind of the kernel's route to an address; it is
// RTN_UNSPEC where there is none.
func routeType(fd int, seq uint32, to netip.Addr) (byte, error) {
	m := newMessage(unix.RTM_GETROUTE, 0, family(to), byte(to.BitLen()), 0, 0, 0, 0, 0, 0)
	m = append(m, word(0)...).add(unix.RTA_DST, to.AsSlice())
	m.finish(seq)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	switch {
	case err != nil:
		return 0, err
	case n < unix.NLMSG_HDRLEN+unix.SizeofRtMsg:
		return 0, unix.EBADMSG
	case binary.NativeEndian.Uint16(answer[4:]) != unix.RTM_NEWROUTE:
		return unix.RTN_UNSPEC, nil // an error: let connect(2) say which
	}
	const typeAt = 7 // struct rtmsg
	return answer[unix.NLMSG_HDRLEN+typeAt], nil
}
