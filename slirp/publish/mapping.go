package publish

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
)

// The protocols that are forwarded.
const (
	TCP = "tcp"
	UDP = "udp"
)

// Port is a port of a container, as EXPOSE and --expose name it.
type Port struct {
	Number   uint16
	Protocol string
}

// String is Docker's form, 80/tcp.
func (p Port) String() string { return strconv.Itoa(int(p.Number)) + "/" + p.Protocol }

// Mapping says where a container's port shall be reachable.
type Mapping struct {
	// HostIP is the host's address; the zero Addr means every one, IPv4 and IPv6.
	HostIP netip.Addr `json:"hostIP"`
	// HostFirst to HostLast are the host's ports, of which the first free one is
	// taken. Both 0: any that the kernel gives.
	HostFirst uint16 `json:"hostFirst"`
	HostLast  uint16 `json:"hostLast"`
	Container uint16 `json:"container"`
	Protocol  string `json:"protocol"`
}

// Port is the container's side, which -p exposes as well.
func (m Mapping) Port() Port { return Port{Number: m.Container, Protocol: m.Protocol} }

// fixed says that there is no choice of a port.
func (m Mapping) fixed() bool { return m.HostFirst != 0 && m.HostFirst == m.HostLast }

// Bound is a port of the host that leads into a container.
type Bound struct {
	HostIP    netip.Addr `json:"hostIP"`
	HostPort  uint16     `json:"hostPort"`
	Container uint16     `json:"container"`
	Protocol  string     `json:"protocol"`
}

// Port is the container's side.
func (b Bound) Port() Port { return Port{Number: b.Container, Protocol: b.Protocol} }

// host is the host's side, address and port.
func (b Bound) host() netip.AddrPort { return netip.AddrPortFrom(b.HostIP, b.HostPort) }

// All is -P: the mappings, and one with a port of the kernel's choice for each
// exposed port that has none.
func All(mappings []Mapping, exposed []Port) []Mapping {
	out := slices.Clone(mappings)
	published := map[Port]bool{}
	for _, m := range mappings {
		published[m.Port()] = true
	}
	for _, p := range sorted(exposed) {
		if !published[p] {
			out = append(out, Mapping{Container: p.Number, Protocol: p.Protocol})
		}
	}
	return out
}

// sorted has every port once, in order.
func sorted(ports []Port) []Port {
	out := slices.SortedFunc(slices.Values(ports), comparePorts)
	return slices.Compact(out)
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol))
}
