package builtin

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A Directory knows the names of a Switch's members. Its methods are called from
// several goroutines at once, and may wait.
type Directory interface {
	// Lookup finds the addresses of a name, in lower case and without its last dot, as
	// the container that asks is to be told them; false: it is nobody's here.
	Lookup(asker netip.Addr, name string) (addrs []netip.Addr, known bool)
	// NameOf is the name of the member that has an address; empty: nobody has it.
	NameOf(ip netip.Addr) string
}

// local answers what the members' names say; nil is for others to answer. No Policy
// is asked: members reach each other anyway.
func (r *relay) local(c client, head dnsmessage.Header, q dnsmessage.Question, name string) []byte {
	if r.directory == nil || q.Class != dnsmessage.ClassINET {
		return nil
	}
	if q.Type == dnsmessage.TypePTR {
		ip, ok := reversed(name)
		if !ok {
			return nil
		}
		owner, err := dnsmessage.NewName(r.directory.NameOf(ip) + ".")
		if err != nil || len(owner.String()) == 1 {
			return nil
		}
		return replyWith(head, q, dnsmessage.RCodeSuccess, &dnsmessage.PTRResource{PTR: owner})
	}
	addrs, known := r.directory.Lookup(c.ip, name)
	switch {
	case !known:
		return nil
	case q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA:
		addrs = nil // the name is there, and has no such record
	}
	return reply(head, q, dnsmessage.RCodeSuccess, ofType(addrs, q.Type))
}

// reversed reads a name below in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa (RFC
// 3596 section 2.5).
func reversed(name string) (netip.Addr, bool) {
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(digits, ".")
		slices.Reverse(parts)
		ip, err := netip.ParseAddr(strings.Join(parts, "."))
		return ip, err == nil && ip.Is4()
	}
	digits, ok := strings.CutSuffix(name, ".ip6.arpa")
	nibbles := strings.Split(digits, ".")
	var b [16]byte
	if !ok || len(nibbles) != 2*len(b) {
		return netip.Addr{}, false
	}
	for i, nibble := range nibbles {
		n, err := strconv.ParseUint(nibble, 16, 4)
		if err != nil {
			return netip.Addr{}, false
		}
		b[len(b)-1-i/2] |= byte(n) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), true
}
