package inspect

import (
	"net/netip"
	"time"

	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
)

// addShared adds the networks that the container shares with others.
func (n *NetworkSettings) addShared(e record.Entry) {
	for _, a := range e.Spec.Networks {
		end := Endpoint{Aliases: a.Aliases, IPAMConfig: &EndpointIPAM{IPv4Address: written(a.IP4), IPv6Address: written(a.IP6)}}
		if *end.IPAMConfig == (EndpointIPAM{}) {
			end.IPAMConfig = nil
		}
		for _, is := range e.State.Endpoints {
			if is.Network == a.Network && e.State.Status.Up() {
				end.fill(is)
				end.EndpointID = e.ID
				end.DNSNames = append(append([]string{e.Spec.Name}, is.Aliases...), e.ID[:12])
			}
		}
		n.Networks[a.Network] = end
	}
}

func (end *Endpoint) fill(is record.Endpoint) {
	end.NetworkID, end.MacAddress = is.NetworkID, is.MAC
	end.Gateway, end.IPAddress, end.IPPrefixLen = written(is.Gateway4), is.Address4.Addr().String(), is.Address4.Bits()
	if is.Address6.IsValid() {
		end.IPv6Gateway, end.GlobalIPv6Address, end.GlobalIPv6PrefixLen = written(is.Gateway6), is.Address6.Addr().String(), is.Address6.Bits()
	}
}

// outward is the endpoint by which a container that has no other network reaches what is
// outside; else its first.
func (n *NetworkSettings) outward(e record.Entry) *Endpoint {
	if e.Network() != slirp.Bridge || !e.State.Status.Up() {
		return nil
	}
	for _, is := range e.State.Endpoints {
		if end, ok := n.Networks[is.Network]; ok && !is.Internal {
			return &end
		}
	}
	for _, is := range e.State.Endpoints {
		if end, ok := n.Networks[is.Network]; ok {
			return &end
		}
	}
	return nil
}

func written(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// Shared describes a network with a name, and the containers that are up in it.
func Shared(n bridge.Network, entries []record.Entry) Network {
	shown := Network{
		Name: n.Name, ID: n.ID, Created: n.Created.Local().Format(time.RFC3339Nano), Scope: "local", Driver: bridge.Driver,
		EnableIPv4: true, EnableIPv6: n.Subnet6.IsValid(), Internal: n.Internal,
		IPAM:    IPAM{Driver: "default", Config: []IPAMConfig{{Subnet: n.Subnet4.String(), Gateway: n.Gateway4.String()}}},
		Options: filledMap(n.Options), Labels: filledMap(n.Labels), Containers: map[string]NetworkContainer{},
	}
	if n.Range4.IsValid() {
		shown.IPAM.Config[0].IPRange = n.Range4.String()
	}
	if n.Subnet6.IsValid() {
		shown.IPAM.Config = append(shown.IPAM.Config, IPAMConfig{Subnet: n.Subnet6.String(), Gateway: n.Gateway6.String()})
	}
	for _, e := range entries {
		for _, is := range e.State.Endpoints {
			if is.NetworkID != n.ID || !e.State.Status.Up() {
				continue
			}
			c := NetworkContainer{Name: e.Spec.Name, EndpointID: e.ID, MacAddress: is.MAC, IPv4Address: is.Address4.String()}
			if is.Address6.IsValid() {
				c.IPv6Address = is.Address6.String()
			}
			shown.Containers[e.ID] = c
		}
	}
	return shown
}

func filledMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
