package gate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/nftables"

	"rootlet/slirp/builtin"
)

// listen opens the name server's ports, on the thread that is in the middle.
func (g *Gate) listen() error {
	g.relay = builtin.NewRelay(names{g})
	for _, s := range g.rules.sides {
		address := net.JoinHostPort(s.nameserver.String(), strconv.Itoa(dnsPort))
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			return fmt.Errorf("the name server: %w", err)
		}
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("the name server: %w", err)
		}
		g.relay.Listen(udp, tcp)
	}
	return nil
}

// names is the relay's policy.
type names struct{ *Gate }

// Connect is never asked: the kernel decides.
func (n names) Connect(builtin.Connect) bool { return false }

// Resolve says whether a name may be looked up.
func (n names) Resolve(name string) bool { return n.policy.Resolve(name) }

// Resolved opens what the name opens, before the container has its addresses.
func (n names) Resolved(name string, addrs []netip.Addr, ttl time.Duration) {
	for _, o := range n.policy.ResolvedTo(name, addrs, ttl) {
		set := n.rules.sets[nameSet(o.Ports, o.IP)]
		if set == nil { // an address of IPv6 where there is none
			continue
		}
		if err := n.open(set, o.IP, time.Until(o.Until)); err != nil {
			n.report(fmt.Errorf("what %s leads to stays closed: %w", name, err))
		}
	}
}

// open holds an address for a time, from now: one that is in the set already is taken out
// and put in anew, at once, for the kernel would leave it its old time.
func (n names) open(set *nftables.Set, ip netip.Addr, hold time.Duration) error {
	key := []nftables.SetElement{{Key: ip.AsSlice()}}
	timed := []nftables.SetElement{{Key: ip.AsSlice(), Timeout: hold}}
	n.opening.Lock()
	defer n.opening.Unlock()
	return errors.Join(n.nft.SetAddElements(set, timed), n.nft.SetDeleteElements(set, key), n.nft.SetAddElements(set, timed), n.nft.Flush())
}
