package iana

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// Every prefix's ends, what lies beside them, and addresses at random, in each form.
func TestNotPublicIsClassOf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var probes []netip.Addr
	for _, n := range plan() {
		first := n.prefix.Addr()
		b := first.AsSlice()
		for i := n.prefix.Bits(); i < len(b)*8; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		last, _ := netip.AddrFromSlice(b)
		probes = append(probes, first, last, first.Prev(), last.Next())
	}
	for range 20000 {
		var b [16]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		probes = append(probes, netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:4])))
	}
	for _, ip := range slices.Clone(probes) {
		if !ip.Is4() {
			continue
		}
		for _, p := range carriers(netip.PrefixFrom(ip, 32)) {
			probes = append(probes, p.Addr())
		}
	}
	for _, ip := range probes {
		if !ip.IsValid() || ip.Is4In6() {
			continue
		}
		in := slices.ContainsFunc(NotPublic(), func(p netip.Prefix) bool { return p.Contains(ip) })
		if class := ClassOf(ip); in == (class == Public) {
			t.Errorf("%s is %s, and among the prefixes: %v", ip, class, in)
		}
	}
}
