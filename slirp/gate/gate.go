package gate

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
)

var native = binary.NativeEndian

// Options say whose network it is, and what is allowed.
type Options struct {
	// Container is its network namespace.
	Container *os.File
	// Link is what the container sees. Without Net6 it has no IPv6, which is right under
	// a driver that has none.
	Link builtin.Link
	// The addresses in it that are the middle's; those of IPv6 may be missing.
	Gateway4, Nameserver4, Gateway6, Nameserver6 netip.Addr
	// HostLoopback and HostLoopback6 have the gateway lead to the driver's, LegGateway.
	HostLoopback, HostLoopback6 bool
	Rules                       egress.Rules
	// Refused takes what was refused, as egress.Read reads it.
	Refused io.WriterAt
	// Report hears what is not as it should be though it goes on.
	Report func(error)
	// Proc is where a procfs is mounted that can be written; empty: /proc.
	Proc string
}

// A Gate is a container's way to its driver.
type Gate struct {
	// Netns is where the driver has to make its interface, builtin.Device, with the
	// addresses of Leg4 and Leg6. It is the caller's.
	Netns *os.File

	rules    *ruleset
	nft      *nftables.Conn
	opening  sync.Mutex // for a batch of nft
	policy   *egress.Policy
	refusals *refusals
	relay    *builtin.Relay
	report   func(error)

	link  link // in the middle, while it is being made
	inner int  // its interface
}

// Open makes the middle, and the container's interface with its addresses and routes.
// Nothing passes but by the rules, from the beginning.
func Open(o Options) (*Gate, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	g := &Gate{policy: egress.New(o.Rules, o.Refused), rules: newRuleset(o.Rules, o.sides()), report: o.Report}
	if err := removeOld(o.Container); err != nil {
		return nil, err
	}
	if err := linux.OwnThread()(func() error { return g.openHere(o) }); err != nil {
		return nil, err
	}
	defer g.link.Close()
	if err := builtin.Configure(int(o.Container.Fd()), o.Link); err != nil {
		return nil, fmt.Errorf("the container's interface: %w", err)
	}
	g.link.awaitRunning(g.inner)
	return g, nil
}

func (o Options) sides() []side {
	sides := []side{{o.Link.Net4, o.Gateway4, o.Nameserver4, Leg4(o.Link.Net4), o.HostLoopback}}
	if o.Link.Net6.IsValid() {
		sides = append(sides, side{o.Link.Net6, o.Gateway6, o.Nameserver6, Leg6, o.HostLoopback6})
	}
	return sides
}

func removeOld(container *os.File) error {
	netns, err := linux.Descriptor(container)
	if err != nil {
		return err
	}
	return linux.InNetwork(netns, func() error {
		l, err := openLink()
		if err != nil {
			return err
		}
		defer l.Close()
		if err := l.removeTap(); err != nil {
			return fmt.Errorf("remove %s: %w", tap, err)
		}
		return nil
	})
}

// openHere makes the middle on this thread. A socket stays in the namespace in which it
// was made, whoever uses it.
func (g *Gate) openHere(o Options) (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	if g.Netns, err = os.Open(filepath.Join(o.Proc, "thread-self/ns/net")); err != nil {
		return err
	}
	// Before there is anything that could pass.
	if g.nft, err = nftables.New(nftables.AsLasting()); err != nil {
		return explain(err)
	}
	if err := g.rules.send(g.nft); err != nil {
		return err
	}
	if g.refusals, err = openRefusals(g.policy, g.rules.translated()); err != nil {
		return err
	}
	if err := g.wire(o); err != nil {
		return err
	}
	for _, s := range g.rules.sides {
		if err := g.refusals.speakAs(s.gateway); err != nil {
			return err
		}
	}
	return g.listen()
}

// wire makes the interface towards the container, and has the kernel forward.
func (g *Gate) wire(o Options) (err error) {
	if g.link, err = openLink(); err != nil {
		return err
	}
	mtu := o.Link.MTU
	if mtu == 0 {
		mtu = builtin.DefaultMTU
	}
	if err := g.link.makePair(o.Container, mtu); err != nil {
		return lacking("veth", err)
	}
	dev, err := net.InterfaceByName(inner)
	if err != nil {
		return err
	}
	g.inner = dev.Index
	for _, s := range g.rules.sides {
		for _, ip := range []netip.Addr{s.gateway, s.nameserver} {
			if err := g.link.address(dev.Index, ip, s.net.Bits()); err != nil {
				return fmt.Errorf("give %s the address %s: %w", inner, ip, err)
			}
		}
	}
	if err := g.link.up(dev.Index); err != nil {
		return fmt.Errorf("bring %s up: %w", inner, err)
	}
	return forward(o.Proc, len(g.rules.sides) > 1)
}

// forward has the thread's network pass packets on, and send as many ICMP messages to one
// address as there are refusals.
func forward(proc string, ip6 bool) error {
	settings := [][2]string{{"ipv4/icmp_ratelimit", "0"}, {"ipv4/ip_forward", "1"}}
	if ip6 {
		settings = append(settings, [2]string{"ipv6/icmp/ratelimit", "0"}, [2]string{"ipv6/conf/all/forwarding", "1"})
	}
	for _, s := range settings {
		if err := os.WriteFile(filepath.Join(proc, "sys/net", s[0]), []byte(s[1]), 0); err != nil {
			return lacking("sysctl", err)
		}
	}
	return nil
}

// Serve answers for names and counts refusals, until ctx ends.
func (g *Gate) Serve(ctx context.Context) error {
	parts := make(chan error, 2)
	go func() { parts <- g.refusals.read() }()
	go func() { parts <- g.relay.Serve(ctx) }()
	return <-parts
}
