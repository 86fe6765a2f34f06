package egress

import (
	"net/netip"
	"slices"
	"time"

	"rootlet/internal/iana"
)

// You come here from slirp/gate, which has the kernel decide: what the rules say, as
// data, and what a name opens in the course of time.

// Ports are a range of them.
type Ports struct{ First, Last uint16 }

// AllPorts leaves none out.
var AllPorts = Ports{0, anyPort}

// All says that no port is left out.
func (p Ports) All() bool { return p.First <= 1 && p.Last == anyPort }

// Opening is a network that is allowed by itself.
type Opening struct {
	Prefix netip.Prefix
	Ports  Ports
}

// Openings are what the rules allow by address.
func (r Rules) Openings() (all []Opening) {
	for _, e := range r.entries {
		if e.prefix.IsValid() {
			all = append(all, Opening{e.prefix, Ports{e.first, e.last}})
		}
	}
	return all
}

// Public says that all public addresses are allowed.
func (r Rules) Public() bool { return r.public }

// NamedPorts are the ranges of ports that names may open, each once.
func (r Rules) NamedPorts() (all []Ports) {
	for _, e := range r.entries {
		if p := (Ports{e.first, e.last}); e.name != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// Opened is what a name has opened.
type Opened struct {
	IP    netip.Addr
	Ports Ports
	Until time.Time
}

// ResolvedTo is Resolved, and says what the addresses open now.
func (p *Policy) ResolvedTo(name string, addrs []netip.Addr, ttl time.Duration) (opened []Opened) {
	p.Resolved(name, addrs, ttl)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ip := range addrs {
		ip = ip.Unmap()
		l := p.learned[ip]
		if iana.ClassOf(ip) != iana.Public {
			continue
		}
		for _, ports := range p.rules.namedPorts(l.names) {
			opened = append(opened, Opened{ip, ports, l.expires})
		}
	}
	return opened
}

// namedPorts are the ranges that one of the names opens.
func (r Rules) namedPorts(names []string) (all []Ports) {
	for _, e := range r.entries {
		if p := (Ports{e.first, e.last}); slices.ContainsFunc(names, e.names) && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// Refused counts what another has refused.
func (p *Policy) Refused(protocol string, to netip.AddrPort) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse(key{protocol, to, p.learned[to.Addr()].lastName()})
}
