package builtin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// SwitchOptions are what a Switch needs to know.
type SwitchOptions struct {
	MTU                int          // of every member's interface; 0: DefaultMTU
	Net4, Net6         netip.Prefix // one may be missing
	Gateway4, Gateway6 netip.Addr   // of those; they are the nameservers, too
	// Internal has the network lead nowhere but to its members.
	Internal bool
	// Directory knows the members' names; nil: they have none.
	Directory Directory
	// ResolvConf and Hosts are as in Options.
	ResolvConf, Hosts string
}

// A Member is a container on a Switch.
type Member struct {
	MAC       string     // six bytes, the interface's
	IP4, IP6  netip.Addr // one may be missing
	Policy    Policy     // about what leaves the network; nil permits all
	Resolvers []netip.AddrPort
}

// A Switch is the network of several containers: their taps are ports of one Ethernet
// switch, and the stack, with all that is outside, is one more. Every member is held
// to its own addresses: a frame that bears others is dropped, so that none can take
// another's place (ARP and neighbour discovery included), which a bridge of the kernel's
// lets everybody do who has CAP_NET_RAW.
type Switch struct {
	*server
	internal bool
	owners   map[netip.Addr]*port // guarded by link.mu, as link.ports is
}

// NewSwitch makes a switch without members. It works while Run does.
func NewSwitch(ctx context.Context, o SwitchOptions) (*Switch, error) {
	a := addresses{
		net4: o.Net4, gateway4: o.Gateway4, nameserver4: o.Gateway4,
		net6: o.Net6, gateway6: o.Gateway6, nameserver6: o.Gateway6,
	}
	l := newLink(mtuOr(o.MTU), true)
	l.ports = map[tcpip.LinkAddress]*port{}
	s, err := newServer(ctx, a, l, Options{ResolvConf: o.ResolvConf, Hosts: o.Hosts})
	if err != nil {
		return nil, err
	}
	s.dns.directory = o.Directory
	w := &Switch{server: s, internal: o.Internal, owners: map[netip.Addr]*port{}}
	s.each = w.clientAt
	return w, nil
}

// Run lasts until ctx ends, when it returns nil.
func (w *Switch) Run() error {
	return w.run(func() error { <-w.ctx.Done(); return nil }, w.stopAll)
}

func (w *Switch) stopAll() {
	w.link.mu.RLock()
	defer w.link.mu.RUnlock()
	for _, p := range w.link.ports {
		p.stop()
	}
}

// Plug takes a member in, with the end of its interface that OpenInterface returned,
// which the switch closes.
func (w *Switch) Plug(m Member, tap *os.File) error {
	p, err := newPort(tap)
	if err != nil {
		return err
	}
	p.member = m
	if !p.vnet {
		p.close()
		return errors.New("the tap has no virtio_net_hdr")
	}
	if err := w.enter(p); err != nil {
		p.close()
		return err
	}
	w.spawn(func() {
		_ = p.run(func(in *frameReader, n int) { w.take(p, in, n) })
		w.leave(p) // its namespace is gone, if nobody has unplugged it
	})
	return nil
}

func (w *Switch) enter(p *port) error {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	mac := tcpip.LinkAddress(p.member.MAC)
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.link.ports[mac] != nil || mac == ourMAC || len(mac) != header.EthernetAddressSize:
		return fmt.Errorf("the hardware address % x is taken or none", p.member.MAC)
	}
	for _, ip := range p.member.addresses() {
		if w.owners[ip] != nil || !w.inside(ip) || w.gateway(ip) {
			return fmt.Errorf("the address %v is taken or not of the network", ip)
		}
	}
	w.link.ports[mac] = p
	for _, ip := range p.member.addresses() {
		w.owners[ip] = p
		// The stack need not ask for it, and so cannot be lied to.
		_ = w.stack.AddStaticNeighbor(nicID, networkProtocol(ip), address(ip), mac)
	}
	return nil
}

// Unplug takes the member with a hardware address out.
func (w *Switch) Unplug(mac string) {
	w.link.mu.RLock()
	p := w.link.ports[tcpip.LinkAddress(mac)]
	w.link.mu.RUnlock()
	if p != nil {
		w.leave(p)
	}
}

func (w *Switch) leave(p *port) {
	p.stop()
	w.link.mu.Lock()
	mac := tcpip.LinkAddress(p.member.MAC)
	here := w.link.ports[mac] == p
	if here {
		delete(w.link.ports, mac)
		for _, ip := range p.member.addresses() {
			delete(w.owners, ip)
			_ = w.stack.RemoveNeighbor(nicID, networkProtocol(ip), address(ip))
		}
		p.close()
	}
	w.link.mu.Unlock()
	if !here {
		return
	}
	// Whoever has the address next is not to get what was meant for this one.
	for _, ip := range p.member.addresses() {
		w.flows.forget(ip)
		w.tcp.abort(func(s *splice) bool { return s.from == ip })
	}
}

func (m Member) addresses() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{m.IP4, m.IP6}, func(ip netip.Addr) bool { return !ip.IsValid() })
}

// clientAt is the member that has an address.
func (w *Switch) clientAt(ip netip.Addr) (client, bool) {
	w.link.mu.RLock()
	defer w.link.mu.RUnlock()
	p := w.owners[ip]
	if p == nil {
		return client{}, false
	}
	c := client{ip: ip, policy: p.member.Policy, resolvers: p.member.Resolvers}
	switch {
	case w.internal:
		c.policy = permitNothing{}
	case c.policy == nil:
		c.policy = permitAll{}
	}
	return c, true
}

// take passes a frame of a member on to whom it is for.
func (w *Switch) take(from *port, in *frameReader, n int) {
	eth, packet := in.ethernet(), in.view.AsSlice()[:n-in.headers()]
	if !from.member.sends(eth, packet) {
		return
	}
	to := eth.DestinationAddress()
	target, asked := wanted(eth, packet)
	if asked && w.gateway(target) || !asked && to == ourMAC {
		w.link.deliver(in, n)
		return
	}
	w.link.frames.Add(1)
	// As it came: with what the sender's kernel has left to do in it, which the
	// receiver's will never have to.
	frame := []unix.Iovec{part(in.head[:]), part(packet)}
	w.link.mu.RLock()
	defer w.link.mu.RUnlock()
	switch {
	case asked:
		w.pass(from, w.owners[target], frame)
	case header.IsMulticastEthernetAddress(to):
		for _, p := range w.link.ports {
			w.pass(from, p, frame)
		}
	default:
		w.pass(from, w.link.ports[to], frame)
	}
}

func (w *Switch) pass(from, to *port, frame []unix.Iovec) {
	if to != nil && to != from {
		to.send(frame)
	}
}
