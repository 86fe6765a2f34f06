package bridge

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// shortID is how much of a container's id is a name, as it is listed.
const shortID = 12

// names are the members of a network by what they are called. It is a
// builtin.Directory.
type names struct {
	// elsewhere asks another network; nil: there is nobody to ask.
	elsewhere func(network, name string) []netip.Addr

	mu      sync.RWMutex
	members map[string]port // by hardware address
}

func newNames(elsewhere func(network, name string) []netip.Addr) *names {
	return &names{elsewhere: elsewhere, members: map[string]port{}}
}

func (n *names) put(p port) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members[p.MAC] = p
}

func (n *names) remove(mac string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.members, mac)
}

// called says whether a member goes by a name, which is in lower case.
func (p port) called(name string) bool {
	same := func(own string) bool { return strings.EqualFold(own, name) }
	return same(p.Name) || same(p.Hostname) || same(p.ID[:min(len(p.ID), shortID)]) || slices.ContainsFunc(p.Aliases, same)
}

// Lookup implements builtin.Directory. Of several that go by one name each is first now
// and then.
func (n *names) Lookup(asker netip.Addr, name string) ([]netip.Addr, bool) {
	found, also := n.here(asker, name)
	for _, network := range also {
		if len(found) > 0 {
			break
		}
		found = n.elsewhere(network, name)
	}
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return found, len(found) > 0
}

// here are the addresses of a name, and the other networks of the one who asks.
func (n *names) here(asker netip.Addr, name string) (found []netip.Addr, also []string) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, p := range n.members {
		if p.called(name) {
			found = append(found, p.addresses()...)
		}
		if p.has(asker) {
			also = p.Also
		}
	}
	return found, also
}

// NameOf implements builtin.Directory.
func (n *names) NameOf(ip netip.Addr) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, p := range n.members {
		if p.has(ip) {
			return p.Name
		}
	}
	return ""
}

func (p port) addresses() []netip.Addr {
	list := []netip.Addr{p.Address4.Addr()}
	if p.Address6.IsValid() {
		list = append(list, p.Address6.Addr())
	}
	return list
}

func (p port) has(ip netip.Addr) bool { return slices.Contains(p.addresses(), ip) }
