package publish

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Column is the PORTS column of ps: exposed ports that nobody published, and
// published ones, where consecutive ports that have the same number inside and
// outside make a group.
//
//	0.0.0.0:2000-2006->2000-2006/tcp, 9000/udp, 0.0.0.0:8080->80/tcp
//
// The order is Docker's (docker/cli, formatter.DisplayablePorts): groups that a
// later port interrupted, then groups in the order of their first ports, then
// ports that change their number.
func Column(bound []Bound, exposed []Port) string {
	entries := slices.Clone(bound)
	published := map[Port]bool{}
	for _, b := range bound {
		published[b.Port()] = true
	}
	for _, p := range sorted(exposed) {
		if !published[p] {
			entries = append(entries, Bound{Container: p.Number, Protocol: p.Protocol})
		}
	}
	slices.SortFunc(entries, func(a, b Bound) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), a.HostIP.Compare(b.HostIP),
			cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.Protocol, b.Protocol))
	})
	var texts, changed []string
	var groups []group
	for _, e := range entries {
		if e.HostIP.IsValid() && e.HostPort != e.Container {
			changed = append(changed, e.host().String()+"->"+e.Port().String())
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.alike(e) })
		switch {
		case i < 0:
			groups = append(groups, group{e, e.Container})
		case e.Container == groups[i].last+1:
			groups[i].last++
		default:
			texts = append(texts, groups[i].String())
			groups[i] = group{e, e.Container}
		}
	}
	for _, g := range groups {
		texts = append(texts, g.String())
	}
	return strings.Join(append(texts, changed...), ", ")
}

// group is consecutive ports of one address and protocol.
type group struct {
	first Bound
	last  uint16
}

func (g group) alike(b Bound) bool {
	return g.first.HostIP == b.HostIP && g.first.Protocol == b.Protocol
}

func (g group) String() string {
	ports := strconv.Itoa(int(g.first.Container))
	if g.last != g.first.Container {
		ports += "-" + strconv.Itoa(int(g.last))
	}
	if g.first.HostIP.IsValid() {
		ports = net.JoinHostPort(g.first.HostIP.String(), ports) + "->" + ports
	}
	return ports + "/" + g.first.Protocol
}

// Lines is what `port CONTAINER` prints: 80/tcp -> 0.0.0.0:8080.
func Lines(bound []Bound) []string {
	var out []string
	for _, b := range inOrder(bound) {
		out = append(out, fmt.Sprintf("%s -> %s", b.Port(), b.host()))
	}
	return out
}

// Addresses is what `port CONTAINER PORT` prints: 0.0.0.0:8080.
func Addresses(bound []Bound, port Port) []string {
	var out []string
	for _, b := range inOrder(bound) {
		if b.Port() == port {
			out = append(out, b.host().String())
		}
	}
	return out
}

func inOrder(bound []Bound) []Bound {
	return slices.SortedFunc(slices.Values(bound), func(a, b Bound) int {
		return cmp.Or(comparePorts(a.Port(), b.Port()), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
}
