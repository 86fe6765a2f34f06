package builtin

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A guard says where a packet of the container may lead on the host.
type guard struct {
	addresses
	hostLoopback bool

	mu    sync.Mutex // for a question and its answer
	fd    int        // a netlink socket
	seq   uint32
	ended bool
}

// A verdict is what becomes of a destination.
type verdict int

const (
	refused     verdict = iota // as by a host on which nothing listens
	unreachable                // as where no route leads
	prohibited                 // by the Policy
	dial
)

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

func newGuard(a addresses, hostLoopback bool) (*guard, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &guard{addresses: a, hostLoopback: hostLoopback, fd: fd}, nil
}

func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	_ = unix.Close(g.fd)
}

// host says where on the host a destination leads.
func (g *guard) host(to netip.Addr) (netip.Addr, verdict) {
	switch {
	case g.gateway(to) && g.hostLoopback:
		if to.Is4() {
			return loopback4, dial
		}
		return loopback6, dial
	case g.gateway(to), g.nameserver(to):
		return to, refused
	case !global(to), g.inside(to), g.leadsInside(to):
		return to, unreachable
	}
	return to, dial
}

// global says that an address can be another host's at all. An IPv4 address in
// IPv6 clothes would lead past the rules for the naked one.
func global(ip netip.Addr) bool {
	ip4 := ip.Unmap()
	switch {
	case !ip.IsValid(), ip.Is4In6(), ip.IsUnspecified(), ip.IsLoopback(), ip.IsMulticast(),
		ip.Is6() && ip.IsLinkLocalUnicast(): // whose link?
		return false
	case ip4.Is4():
		// 0.0.0.0/8 is this host (RFC 1122 section 3.2.1.3), and so Linux connects to
		// it; 240.0.0.0/4 holds the broadcast address.
		first := ip4.As4()[0]
		return first != 0 && first < 240
	}
	return !compatible.Contains(ip)
}

// compatible is ::/96, IPv4 in IPv6 of old (RFC 4291 section 2.5.5.1).
var compatible = netip.PrefixFrom(netip.IPv6Unspecified(), 96)

// leadsInside says whether the host itself would route an address to its own
// loopback interface, or to everyone on a network. Its own addresses on other
// interfaces are open to the container as they are to that network.
func (g *guard) leadsInside(to netip.Addr) bool {
	switch g.routeType(to) {
	case unix.RTN_LOCAL:
		return !onNetwork(to)
	case unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
		return true
	}
	return false
}

// routeType is the kind of the host's route to an address.
func (g *guard) routeType(to netip.Addr) byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return unix.RTN_MULTICAST
	}
	g.seq++
	kind, err := routeType(g.fd, g.seq, to)
	if err != nil {
		return unix.RTN_MULTICAST // nobody could be asked: closed
	}
	return kind
}

// onNetwork says whether an address is one of the host's on an interface other
// than lo, whose index is 1 in every network namespace.
func onNetwork(ip netip.Addr) bool {
	table, err := syscall.NetlinkRIB(unix.RTM_GETADDR, int(family(ip)))
	if err != nil {
		return false
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return false
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg ||
			binary.NativeEndian.Uint32(m.Data[4:]) == 1 {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			continue
		}
		for _, a := range attributes {
			if has, ok := netip.AddrFromSlice(a.Value); ok && has == ip &&
				(a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS) {
				return true
			}
		}
	}
	return false
}
