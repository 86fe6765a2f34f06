package gate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"rootlet/internal/iana"
	"rootlet/slirp/egress"
)

// inner is the middle's interface towards the container; the driver's is builtin.Device.
const inner = "inner"

// Leg6 is the middle's network towards the driver (RFC 4193, by a number of our own).
var Leg6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 'r', 'l', 'e', 't'}), 64)

// Leg4 is the same for IPv4: of addresses that no router forwards (RFC 3927), so that none
// is taken from what a container may want to reach; clouds have their metadata elsewhere
// among them. Where that is the container's own network, it is one for measurements (RFC
// 2544).
func Leg4(container netip.Prefix) netip.Prefix {
	leg := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 77, 0}), 24)
	if leg.Overlaps(container) {
		leg = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, 254, 0}), 24)
	}
	return leg
}

// LegGateway is where the driver has the host's loopback, if it is open.
func LegGateway(leg netip.Prefix) netip.Addr { return withLastByte(leg, 2) }

// LegAddress is the middle's own.
func LegAddress(leg netip.Prefix) netip.Addr { return withLastByte(leg, 100) }

func withLastByte(p netip.Prefix, last byte) netip.Addr {
	b := p.Addr().AsSlice()
	b[len(b)-1] = last
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// A side is the container's network of one version of IP.
type side struct {
	net                 netip.Prefix
	gateway, nameserver netip.Addr
	leg                 netip.Prefix
	loopback            bool // the gateway is leg's, behind which is the host's
}

// A ruleset is all of the middle's nftables.
type ruleset struct {
	table   *nftables.Table
	chains  []chain
	private []netip.Prefix // of the sets of what is not public; empty: not needed
	names   []egress.Ports // of the sets that names fill
	sets    map[string]*nftables.Set
	sides   []side
	rules   egress.Rules
}

// A chain without a hook is one that others lead to.
type chain struct {
	name string
	hook *nftables.Chain // type, hook and priority
	drop bool            // what no rule speaks of
	rows []rule
}

// never are destinations that cannot be another host's at all: what slirp/builtin's guard
// refuses, whatever is allowed.
func never(v side) []netip.Prefix {
	if v.net.Addr().Is4() {
		return []netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/3"), v.net, v.leg,
		}
	}
	return []netip.Prefix{
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"), v.net, v.leg,
	}
}

// newRuleset plans. Nothing in it depends on who asks or when.
func newRuleset(rules egress.Rules, sides []side) *ruleset {
	r := &ruleset{
		table: &nftables.Table{Name: "rootlet", Family: nftables.TableFamilyINet},
		sides: sides, rules: rules, names: rules.NamedPorts(), sets: map[string]*nftables.Set{},
	}
	if rules.Public() {
		r.private = iana.NotPublic()
	}
	r.declareSets()
	r.chains = []chain{
		{name: "refuse", rows: []rule{{tell()}, {drop()}}},
		{name: "ports", rows: r.decide(false)},
		{name: "echo", rows: r.decide(true)},
	}
	if r.opensLoopback() {
		r.chains = append(r.chains, r.hostLoopback(), r.arriving())
	}
	r.chains = append(r.chains, r.forward(), r.input(), r.output(), r.leaving())
	return r
}

func (r *ruleset) opensLoopback() bool {
	return slices.ContainsFunc(r.sides, func(s side) bool { return s.loopback })
}

// forward is what passes. Who begins a connection is decided about, and nobody but the
// container may; conntrack knows the rest of it, by its direction: a packet that the
// container makes up as an answer is none.
func (r *ruleset) forward() chain {
	c := base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	c.drop = true
	c.rows = []rule{
		{in(tap), out(inner), belongs(), direction(true), accept()},
		{notIn(inner), drop()},
		{established(), direction(false), accept()},
		{astray(), drop()},
	}
	for _, s := range r.sides {
		c.rows = append(c.rows, rule{ip(s.net.Addr()), notFrom(s.net), drop()})
	}
	if r.opensLoopback() {
		c.rows = append(c.rows, rule{redirected(), goTo("loopback")})
	}
	for _, s := range r.sides {
		for _, p := range never(s) {
			c.rows = append(c.rows, rule{ip(p.Addr()), to(p), reject(noRoute)})
		}
	}
	c.rows = append(c.rows,
		rule{notOut(tap), reject(noRoute)},
		rule{protocol(unix.IPPROTO_TCP), goTo("ports")},
		rule{protocol(unix.IPPROTO_UDP), goTo("ports")},
		rule{protocol(unix.IPPROTO_ICMP), icmpType(echo4, echo4), goTo("echo")},
		rule{protocol(unix.IPPROTO_ICMPV6), icmpType(echo6, echo6), goTo("echo")},
		rule{goTo("refuse")},
	)
	return c
}

// Types of ICMP messages (RFC 792, 4443 and 4861).
const (
	echo4     = 8
	echo6     = 128
	solicit   = 135
	advertise = 136
)

// decide is egress.Rules in the kernel's words. An echo goes where any port is allowed.
func (r *ruleset) decide(echo bool) (rows []rule) {
	row := func(p egress.Ports, conditions ...part) {
		if !echo && !p.All() {
			conditions = append(conditions, ports(p))
		}
		rows = append(rows, append(conditions, accept()))
	}
	for _, s := range r.sides {
		v := s.net.Addr()
		if r.rules.Public() {
			row(egress.AllPorts, ip(v), notToSet(r.sets[privateSet(v)], v))
		}
		for _, o := range r.rules.Openings() {
			if o.Prefix.Addr().Is4() == v.Is4() {
				row(o.Ports, ip(v), to(o.Prefix))
			}
		}
		for _, p := range r.names {
			row(p, ip(v), toSet(r.sets[nameSet(p, v)], v))
		}
	}
	return append(rows, rule{goTo("refuse")})
}

// hostLoopback decides about the gateway's address, which leads to the host's loopback.
func (r *ruleset) hostLoopback() chain {
	c := chain{name: "loopback"}
	for _, s := range r.sides {
		for _, o := range r.rules.Openings() {
			if !s.loopback || !o.Prefix.Contains(s.gateway) {
				continue
			}
			v := ip(s.gateway)
			if o.Ports.All() {
				c.rows = append(c.rows, rule{v, accept()})
				continue
			}
			c.rows = append(c.rows,
				rule{v, protocol(unix.IPPROTO_TCP), ports(o.Ports), accept()},
				rule{v, protocol(unix.IPPROTO_UDP), ports(o.Ports), accept()})
		}
	}
	c.rows = append(c.rows, rule{goTo("refuse")})
	return c
}

// input is what is for the middle itself: names, and the neighbours of IPv6. What else is
// asked of the gateway is answered as by a host on which nothing listens.
func (r *ruleset) input() chain {
	c := base("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	c.drop = true
	c.rows = []rule{
		{protocol(unix.IPPROTO_ICMPV6), icmpType(solicit, advertise), accept()},
		{notIn(inner), drop()},
	}
	dns := egress.Ports{First: dnsPort, Last: dnsPort}
	for _, s := range r.sides {
		v := ip(s.net.Addr())
		c.rows = append(c.rows, rule{v, notFrom(s.net), drop()})
		for _, p := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			c.rows = append(c.rows, rule{v, to(single(s.nameserver)), protocol(p), ports(dns), accept()})
		}
		for _, ip := range []netip.Addr{s.gateway, s.nameserver} {
			c.rows = append(c.rows,
				rule{v, to(single(ip)), protocol(unix.IPPROTO_TCP), reset()},
				rule{v, to(single(ip)), reject(portClosed)})
		}
	}
	return c
}

const dnsPort = 53

func single(ip netip.Addr) netip.Prefix { return netip.PrefixFrom(ip, ip.BitLen()) }

// output is what the middle itself says. Towards the driver that is nothing: an answer or
// a refusal to a source that the container has made up would be a message to whom it is.
func (r *ruleset) output() chain {
	c := base("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter)
	c.drop = true
	c.rows = []rule{
		{protocol(unix.IPPROTO_ICMPV6), icmpType(solicit, advertise), accept()},
		{out(inner), accept()},
	}
	return c
}

// leaving is the translation of addresses: the driver knows the middle's alone.
func (r *ruleset) leaving() chain {
	c := base("leaving", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	c.rows = []rule{{out(tap), masquerade()}}
	return c
}

// arriving is the same the other way, for the host's loopback.
func (r *ruleset) arriving() chain {
	c := base("arriving", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	for _, s := range r.sides {
		if s.loopback {
			c.rows = append(c.rows, rule{in(inner), ip(s.gateway), to(single(s.gateway)), redirect(LegGateway(s.leg))})
		}
	}
	return c
}

// translated has the gateway's address for each that arriving makes of it.
func (r *ruleset) translated() map[netip.Addr]netip.Addr {
	shown := map[netip.Addr]netip.Addr{}
	for _, s := range r.sides {
		if s.loopback {
			shown[LegGateway(s.leg)] = s.gateway
		}
	}
	return shown
}

func base(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) chain {
	return chain{name: name, hook: &nftables.Chain{Type: kind, Hooknum: hook, Priority: priority}}
}

// The names of sets; the IP version is their last letter.
func privateSet(v netip.Addr) string { return "private" + version(v) }

func nameSet(p egress.Ports, v netip.Addr) string {
	return fmt.Sprintf("names-%d-%d-%s", p.First, p.Last, version(v))
}

func version(v netip.Addr) string {
	if v.Is4() {
		return "4"
	}
	return "6"
}

func (r *ruleset) declareSets() {
	add := func(v netip.Addr, name string) *nftables.Set {
		s := &nftables.Set{Table: r.table, ID: uint32(len(r.sets) + 1), Name: name, KeyType: nftables.TypeIPAddr}
		if v.Is6() {
			s.KeyType = nftables.TypeIP6Addr
		}
		r.sets[name] = s
		return s
	}
	for _, s := range r.sides {
		v := s.net.Addr()
		if len(r.private) > 0 {
			add(v, privateSet(v)).Interval = true
		}
		for _, p := range r.names {
			named := add(v, nameSet(p, v))
			named.HasTimeout, named.Size = true, mostNamed
		}
	}
}

// mostNamed bounds the addresses that names have opened; they go after five minutes.
const mostNamed = 1 << 16

// String is the plan for people, and a golden file.
func (r *ruleset) String() string {
	var b strings.Builder
	names := make([]string, 0, len(r.sets))
	for name := range r.sets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "set %s\n", name)
	}
	for _, c := range r.chains {
		fmt.Fprintf(&b, "\nchain %s", c.name)
		if c.drop {
			b.WriteString(", or else drop")
		}
		b.WriteString("\n")
		for _, row := range c.rows {
			words := make([]string, 0, len(row))
			for _, p := range row {
				words = append(words, p.text)
			}
			fmt.Fprintf(&b, "\t%s\n", strings.Join(words, " "))
		}
	}
	return b.String()
}
