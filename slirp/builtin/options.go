package builtin

import (
	"fmt"
	"net/netip"
	"os"
)

// Device is the container's interface.
const Device = "tap0"

// DefaultMTU is the largest that Linux lets a tap device have, less one.
const DefaultMTU = 65520

// DefaultNet4 is the container's network unless another is asked for, as under
// slirp4netns.
var DefaultNet4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 2, 0}), 24)

// DefaultNet6 is the network to ask for where IPv6 is wanted, as under slirp4netns.
var DefaultNet6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd}), 64)

// Options are what Serve needs to know.
type Options struct {
	// Tap is what OpenTap returned. Serve closes it.
	Tap *os.File
	// MTU, Net4 and Net6 are those that were given to OpenTap.
	MTU  int
	Net4 netip.Prefix
	Net6 netip.Prefix
	// HostLoopback lets the gateway's address lead to the host's loopback.
	HostLoopback bool
	// ResolvConf and Hosts are the host's files; empty: those in /etc.
	ResolvConf, Hosts string
	// DNS are the resolvers to ask instead of those in ResolvConf.
	DNS []netip.AddrPort
	// Policy decides where the container may connect to; nil permits all.
	Policy Policy
}

// addresses are those of the container's network: like slirp4netns(1), the
// gateway is .2, the nameserver .3 and the container .100.
type addresses struct {
	net4, net6                        netip.Prefix
	gateway4, nameserver4, container4 netip.Addr
	gateway6, nameserver6, container6 netip.Addr // invalid without IPv6
}

// The last byte of each address.
const (
	gatewayByte    = 2
	nameserverByte = 3
	containerByte  = 100
)

func addressesOf(net4, net6 netip.Prefix) (a addresses, err error) {
	if net4 == (netip.Prefix{}) {
		net4 = DefaultNet4
	}
	if !net4.Addr().Is4() || net4.Bits() > 25 {
		return a, fmt.Errorf("%v is no IPv4 network of at most 25 bits", net4)
	}
	a.net4 = net4.Masked()
	a.gateway4, a.nameserver4, a.container4 = at(a.net4, gatewayByte), at(a.net4, nameserverByte), at(a.net4, containerByte)
	if net6 == (netip.Prefix{}) {
		return a, nil
	}
	if !net6.Addr().Is6() || net6.Addr().Is4In6() || net6.Bits() > 112 {
		return a, fmt.Errorf("%v is no IPv6 network of at most 112 bits", net6)
	}
	a.net6 = net6.Masked()
	// fd00::100 is how it is written, so the last byte of the container's is 0.
	container := a.net6.Addr().As16()
	container[14] |= 1
	a.gateway6, a.nameserver6, a.container6 = at(a.net6, gatewayByte), at(a.net6, nameserverByte), netip.AddrFrom16(container)
	return a, nil
}

// at is the network's address that ends in a byte.
func at(network netip.Prefix, last byte) netip.Addr {
	b := network.Addr().AsSlice()
	b[len(b)-1] |= last
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

func (a addresses) gateway(ip netip.Addr) bool {
	return ip == a.gateway4 || a.gateway6.IsValid() && ip == a.gateway6
}

func (a addresses) nameserver(ip netip.Addr) bool {
	return ip == a.nameserver4 || a.nameserver6.IsValid() && ip == a.nameserver6
}

// inside says that an address is one of the container's network.
func (a addresses) inside(ip netip.Addr) bool {
	return a.net4.Contains(ip) || a.net6.IsValid() && a.net6.Contains(ip)
}

func mtuOr(mtu int) int {
	if mtu == 0 {
		return DefaultMTU
	}
	return mtu
}
