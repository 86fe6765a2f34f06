package bridge

import (
	"fmt"
	"net"
	"net/netip"

	"rootlet/slirp/builtin"
)

// leases are the addresses of a network that its members have.
type leases struct {
	network Network
	taken   map[netip.Addr]string // by whom, a container's name
	macs    map[string]bool
	last    netip.Addr // given last: the next is behind it, so that one who comes does not get what one who left is still asked for
}

func newLeases(n Network) *leases {
	l := &leases{network: n, taken: map[netip.Addr]string{}, macs: map[string]bool{}}
	l.taken[n.Gateway4] = "the gateway"
	if n.Gateway6.IsValid() {
		l.taken[n.Gateway6] = "the gateway"
	}
	return l
}

// take gives a container its addresses.
func (l *leases) take(want Join) (j Joined, err error) {
	n := l.network
	ip4, ip6 := want.IP4, want.IP6
	if ip4.IsValid() {
		err = l.check(n.Subnet4, ip4)
	} else {
		ip4, err = l.next()
	}
	if err != nil {
		return j, err
	}
	switch {
	case ip6.IsValid():
		err = l.check(n.Subnet6, ip6)
	case n.Subnet6.IsValid():
		ip6, err = l.next6(ip4)
	}
	if err != nil {
		return j, err
	}
	mac := macOf(ip4)
	if want.Hardware != "" {
		if mac, err = net.ParseMAC(want.Hardware); err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			return j, fmt.Errorf("%q is no hardware address that an interface can have", want.Hardware)
		}
	}
	if string(mac) == builtin.GatewayMAC { // the switch would end of it
		return j, fmt.Errorf("the hardware address %v is the gateway's", mac)
	}
	if l.macs[mac.String()] {
		return j, &takenError{fmt.Sprintf("the hardware address %v is taken in the network %s", mac, n.Name)}
	}
	l.macs[mac.String()], l.taken[ip4] = true, want.Name
	j = Joined{
		Network: n.Name, NetworkID: n.ID, Gateway4: n.Gateway4, MAC: mac.String(), MTU: n.MTU(), Internal: n.Internal,
		Address4: netip.PrefixFrom(ip4, n.Subnet4.Bits()),
	}
	if ip6.IsValid() {
		l.taken[ip6] = want.Name
		j.Address6, j.Gateway6 = netip.PrefixFrom(ip6, n.Subnet6.Bits()), n.Gateway6
	}
	return j, nil
}

func (l *leases) giveBack(j Joined) {
	delete(l.macs, j.MAC)
	delete(l.taken, j.Address4.Addr())
	delete(l.taken, j.Address6.Addr())
}

// takenError says that another member has what one wants.
type takenError struct{ text string }

func (e *takenError) Error() string { return e.text }

// check says whether an address that was asked for can be had.
func (l *leases) check(subnet netip.Prefix, ip netip.Addr) error {
	if !subnet.IsValid() {
		return fmt.Errorf("the network %s has no addresses like %v", l.network.Name, ip)
	}
	if !usable(subnet, ip) {
		return fmt.Errorf("the address %v is not of the network %s, %v", ip, l.network.Name, subnet)
	}
	if who, taken := l.taken[ip]; taken {
		return &takenError{fmt.Sprintf("the address %v is taken in the network %s, by %s", ip, l.network.Name, who)}
	}
	return nil
}

// free says that a member can have an address and none has it, be it one without a name.
func (l *leases) free(subnet netip.Prefix, ip netip.Addr) bool {
	_, taken := l.taken[ip]
	return !taken && usable(subnet, ip)
}

// next is the next free address.
func (l *leases) next() (netip.Addr, error) {
	within := l.network.Subnet4
	if l.network.Range4.IsValid() {
		within = l.network.Range4
	}
	if !l.last.IsValid() {
		l.last = within.Addr()
	}
	// The first comes round again once all of them were seen.
	for ip, turned := l.last.Next(), false; ; ip = ip.Next() {
		if !within.Contains(ip) {
			if turned {
				return ip, fmt.Errorf("every address of the network %s is taken (%v)", l.network.Name, within)
			}
			ip, turned = within.Addr(), true
		}
		if l.free(l.network.Subnet4, ip) {
			l.last = ip
			return ip, nil
		}
	}
}

// next6 ends like the member's IPv4 address, or like the next that is free.
func (l *leases) next6(ip4 netip.Addr) (netip.Addr, error) {
	subnet := l.network.Subnet6
	b, end := subnet.Addr().As16(), ip4.As4()
	keep := 16 - (128-subnet.Bits())/8 // whole bytes that are the member's begin here
	for i := 15; i >= max(keep, 13); i-- {
		b[i] |= end[i-12]
	}
	const tries = 1 << 16
	for ip, n := netip.AddrFrom16(b), 0; n < tries; ip, n = ip.Next(), n+1 {
		if !subnet.Contains(ip) {
			ip = subnet.Addr()
		}
		if l.free(subnet, ip) {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("every address of the network %s is taken (%v)", l.network.Name, subnet)
}

// macOf makes a hardware address of an IPv4 address, locally administered, as Docker
// did for long: a member that comes again under its address has the same, and no
// neighbour needs to forget one.
func macOf(ip netip.Addr) net.HardwareAddr {
	b := ip.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}
}
