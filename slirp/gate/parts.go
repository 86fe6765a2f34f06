package gate

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"rootlet/slirp/egress"
)

// A part of a rule: a condition, or what is done. The text is for people, in the words of
// nft(8) as far as it has them.
type part struct {
	text  string
	exprs []expr.Any
}

// A rule applies where all its conditions hold.
type rule []part

func meta(key expr.MetaKey, op expr.CmpOp, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: value}}
}

// interfaceName is padded as the kernel keeps it.
func interfaceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func in(name string) part {
	return part{"iifname " + name, meta(expr.MetaKeyIIFNAME, expr.CmpOpEq, interfaceName(name))}
}

func out(name string) part {
	return part{"oifname " + name, meta(expr.MetaKeyOIFNAME, expr.CmpOpEq, interfaceName(name))}
}

func notIn(name string) part {
	return part{"iifname != " + name, meta(expr.MetaKeyIIFNAME, expr.CmpOpNeq, interfaceName(name))}
}

func notOut(name string) part {
	return part{"oifname != " + name, meta(expr.MetaKeyOIFNAME, expr.CmpOpNeq, interfaceName(name))}
}

// ip is the version of an address.
func ip(of netip.Addr) part {
	if of.Is4() {
		return part{"ipv4", meta(expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{unix.NFPROTO_IPV4})}
	}
	return part{"ipv6", meta(expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{unix.NFPROTO_IPV6})}
}

// load takes an address of the header; ip has said of which version.
func load(v netip.Addr, destination bool) *expr.Payload {
	p := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}
	if v.Is6() {
		p.Offset, p.Len = 8, 16
	}
	if destination {
		p.Offset += p.Len
	}
	return p
}

func within(p netip.Prefix, destination bool, op expr.CmpOp) []expr.Any {
	size := uint32(p.Addr().BitLen() / 8)
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		load(p.Addr(), destination),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

func to(p netip.Prefix) part {
	return part{"daddr " + p.String(), within(p, true, expr.CmpOpEq)}
}

func notFrom(p netip.Prefix) part {
	return part{"saddr != " + p.String(), within(p, false, expr.CmpOpNeq)}
}

func toSet(s *nftables.Set, v netip.Addr) part {
	return part{"daddr @" + s.Name, []expr.Any{load(v, true), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}}
}

func notToSet(s *nftables.Set, v netip.Addr) part {
	return part{"daddr != @" + s.Name, []expr.Any{load(v, true), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: true}}}
}

func protocol(number byte) part {
	name := protocolName(number)
	if number == unix.IPPROTO_ICMPV6 {
		name = "icmpv6"
	}
	return part{"l4proto " + name, meta(expr.MetaKeyL4PROTO, expr.CmpOpEq, []byte{number})}
}

// ports are those of TCP and UDP alike.
func ports(p egress.Ports) part {
	return part{fmt.Sprintf("dport %d-%d", p.First, p.Last), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: binaryutil.BigEndian.PutUint16(p.First), ToData: binaryutil.BigEndian.PutUint16(p.Last)},
	}}
}

func icmpType(first, last byte) part {
	return part{fmt.Sprintf("type %d-%d", first, last), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{first}, ToData: []byte{last}},
	}}
}

// bits says that one of the bits of what conntrack knows is set.
func bits(text string, key expr.CtKey, some uint32) part {
	return part{text, []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(some), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}}
}

// dstNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const dstNAT = 1 << 5

func established() part {
	return bits("ct state established", expr.CtKeySTATE, expr.CtStateBitESTABLISHED)
}

func belongs() part {
	return bits("ct state established,related", expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

func astray() part {
	return bits("ct state invalid,related", expr.CtKeySTATE, expr.CtStateBitINVALID|expr.CtStateBitRELATED)
}

func redirected() part { return bits("ct status dnat", expr.CtKeySTATUS, dstNAT) }

// direction says whose packet of a connection it is: of the side that began it, or not.
func direction(reply bool) part {
	text, value := "ct direction original", byte(0)
	if reply {
		text, value = "ct direction reply", 1
	}
	return part{text, []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{value}},
	}}
}

func accept() part {
	return part{"accept", []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}}
}

func drop() part { return part{"drop", []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}} }

func goTo(chain string) part {
	return part{"goto " + chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}}
}

// tell has NFLOG send the beginning of the packet to us.
func tell() part {
	return part{fmt.Sprintf("log group %d", logGroup), []expr.Any{&expr.Log{
		Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN,
		Group: logGroup, Snaplen: snapLength,
	}}}
}

// The errors that reject sends (NFT_REJECT_ICMPX of linux/netfilter/nf_tables.h).
const (
	noRoute    = unix.NFT_REJECT_ICMPX_NO_ROUTE
	portClosed = unix.NFT_REJECT_ICMPX_PORT_UNREACH
)

func reject(code byte) part {
	names := map[byte]string{noRoute: "no-route", portClosed: "port-unreachable"}
	return part{"reject with icmpx " + names[code], []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: code}}}
}

func reset() part {
	return part{"reject with tcp reset", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}}
}

func masquerade() part { return part{"masquerade", []expr.Any{&expr.Masq{}}} }

func redirect(to netip.Addr) part {
	family := uint32(unix.NFPROTO_IPV4)
	if to.Is6() {
		family = unix.NFPROTO_IPV6
	}
	return part{"dnat to " + to.String(), []expr.Any{
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1},
	}}
}
