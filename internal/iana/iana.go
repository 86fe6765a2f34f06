// Package iana knows what addresses are for: IANA's special-purpose registries, and
// what clouds answer questions about themselves under. Whoever must not be led to what
// only this host can reach asks it about an address, after every name was looked up.
package iana

import (
	"net/netip"
	"sync"
)

// Class says who is at an address.
type Class int

// The classes of addresses.
const (
	Unknown  Class = iota
	Public         // anybody
	Loopback       // this machine
	Private        // this network (RFC 1918, RFC 4193, RFC 2544)
	Local          // this link (RFC 3927, RFC 4291)
	Shared         // this provider (RFC 6598)
	Special        // nobody's, or a cloud's metadata
)

// String is what an error says of such an address.
func (c Class) String() string {
	return [...]string{
		"unknown", "a public address", "this machine", "a private address", "a link-local address",
		"a provider's own address", "nobody's, or a cloud's metadata",
	}[c]
}

// ClassOf looks through the forms in which IPv6 holds an IPv4 address, by which
// a gateway or the kernel itself would reach that one.
func ClassOf(ip netip.Addr) Class {
	ip = ip.Unmap().WithZone("")
	if v4, ok := embedded(ip); ok {
		return ClassOf(v4)
	}
	for _, n := range plan() {
		if n.prefix.Contains(ip) {
			return n.class
		}
	}
	return Public
}

type network struct {
	prefix netip.Prefix
	class  Class
}

// plan is the IANA special-purpose address registries, and what clouds
// answer questions about themselves under; the first that fits counts.
var plan = sync.OnceValue(func() []network {
	of := func(c Class, prefixes ...string) (all []network) {
		for _, p := range prefixes {
			all = append(all, network{netip.MustParsePrefix(p), c})
		}
		return all
	}
	var all []network
	// Metadata: AWS, Azure, Google and OpenStack; AWS's tasks; Azure's host; Alibaba; Oracle.
	all = append(all, of(Special, "169.254.169.254/32", "169.254.170.2/32", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::/32")...)
	all = append(all, of(Loopback, "127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128")...) // connect(2) takes 0.0.0.0 for 127.0.0.1
	all = append(all, of(Private, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")...)
	all = append(all, of(Local, "169.254.0.0/16", "fe80::/10")...)
	all = append(all, of(Shared, "100.64.0.0/10")...)
	all = append(all, of(Special, "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "100::/64", "2001::/23", "2001:db8::/32", "ff00::/8")...)
	return all
})

// embedded is the IPv4 address in an IPv4-compatible (RFC 4291), NAT64 (RFC 6052)
// or 6to4 (RFC 3056) one.
func embedded(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return netip.Addr{}, false
	}
	b := ip.As16()
	at := -1
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip), netip.MustParsePrefix("::/96").Contains(ip):
		at = 12
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		at = 2
	}
	if at < 0 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[at : at+4])), true
}
