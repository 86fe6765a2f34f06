package iana

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
)

// NotPublic is ClassOf for who decides by prefixes: an address is in one of them exactly
// when its class is not Public. They are in order, none is within another. An IPv4
// address in IPv4-mapped form is in none of IPv6's.
var NotPublic = sync.OnceValue(func() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range plan() {
		all = append(all, n.prefix)
		if n.prefix.Addr().Is4() {
			all = append(all, carriers(n.prefix)...)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	var least []netip.Prefix
	for _, p := range all {
		if len(least) == 0 || !least[len(least)-1].Overlaps(p) {
			least = append(least, p)
		}
	}
	return least
})

// carriers are the IPv6 forms of an IPv4 network that embedded sees through.
func carriers(p netip.Prefix) []netip.Prefix {
	v4 := binary.BigEndian.Uint32(p.Addr().AsSlice())
	form := func(head []byte, at int) netip.Prefix {
		var b [16]byte
		copy(b[:], head)
		binary.BigEndian.PutUint32(b[at:], v4)
		return netip.PrefixFrom(netip.AddrFrom16(b), at*8+p.Bits())
	}
	return []netip.Prefix{form(nil, 12), form([]byte{0, 0x64, 0xff, 0x9b}, 12), form([]byte{0x20, 0x02}, 2)}
}
