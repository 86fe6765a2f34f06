package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
	"rootlet/slirp/egress"
)

// NetworkSettings are a container's networks. The addresses at its end are what
// Docker had there up to version 28, for scripts that still ask for them.
type NetworkSettings struct {
	SandboxID  string
	SandboxKey string
	Ports      map[string][]PortBinding
	Networks   map[string]Endpoint
	Egress     *Egress `json:",omitempty"` // rootlet's own: where it may connect to

	Gateway             string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	MacAddress          string
}

// Egress is what --egress allows, and what it has kept the container from.
type Egress struct {
	Allowed []string
	Refused []egress.Refusal
}

// Endpoint is a container in a network.
type Endpoint struct {
	IPAMConfig          *EndpointIPAM
	Links               []string
	Aliases             []string
	DriverOpts          map[string]string
	GwPriority          int
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	MacAddress          string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	DNSNames            []string
}

// EndpointIPAM is what the user asked for.
type EndpointIPAM struct {
	IPv4Address string `json:",omitempty"`
	IPv6Address string `json:",omitempty"`
}

func networkSettingsOf(e record.Entry, refused []egress.Refusal) NetworkSettings {
	n := NetworkSettings{Ports: map[string][]PortBinding{}, Networks: map[string]Endpoint{}}
	end := Endpoint{NetworkID: networkID(e.Network())}
	if e.State.Status.Up() {
		if e.State.PID > 0 {
			n.SandboxID, n.SandboxKey = e.ID, fmt.Sprintf("/proc/%d/ns/net", e.State.PID)
		}
		if slirp.IsDriver(e.Network()) || len(e.State.Endpoints) > 0 {
			for _, port := range e.Spec.ExposedPorts {
				n.Ports[port] = nil
			}
			for _, b := range e.State.Ports {
				key := b.Port().String()
				n.Ports[key] = append(n.Ports[key], PortBinding{HostIP: b.HostIP.String(), HostPort: strconv.Itoa(int(b.HostPort))})
			}
		}
		if slirp.IsDriver(e.Network()) {
			end.EndpointID = e.ID
			s := slirp.Settings(e.Spec.NetworkSettings)
			end.Gateway, end.IPAddress, end.IPPrefixLen = s.GatewayIP().String(), s.ContainerIP().String(), s.Prefix().Bits()
		}
	}
	if e.Network() != slirp.Bridge && record.SharesWith(e.Network()) == "" {
		n.Networks[e.Network()] = end
	}
	n.addShared(e)
	if outward := n.outward(e); outward != nil {
		end = *outward
	}
	if len(e.Spec.Egress) > 0 {
		n.Egress = &Egress{Allowed: e.Spec.Egress, Refused: filled(refused)}
	}
	n.Gateway, n.IPAddress, n.IPPrefixLen, n.MacAddress = end.Gateway, end.IPAddress, end.IPPrefixLen, end.MacAddress
	n.IPv6Gateway, n.GlobalIPv6Address, n.GlobalIPv6PrefixLen = end.IPv6Gateway, end.GlobalIPv6Address, end.GlobalIPv6PrefixLen
	return n
}

// Networks are those that are always there. Under a driver each container has one of
// its own.
func Networks() []string {
	return slices.Sorted(slices.Values(append(slirp.Drivers(), slirp.None, slirp.Host)))
}

// Network is `docker network inspect`.
type Network struct {
	Name       string
	ID         string `json:"Id"`
	Created    string
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       IPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom ConfigFrom
	ConfigOnly bool
	Options    map[string]string
	Labels     map[string]string
	Containers map[string]NetworkContainer
}

// IPAM says which addresses a network has.
type IPAM struct {
	Driver  string
	Options map[string]string
	Config  []IPAMConfig
}

// IPAMConfig is one range of addresses.
type IPAMConfig struct {
	Subnet  string
	IPRange string
	Gateway string
}

// ConfigFrom is the network that one takes its settings from.
type ConfigFrom struct{ Network string }

// NetworkContainer is a container as its network shows it.
type NetworkContainer struct{ Name, EndpointID, MacAddress, IPv4Address, IPv6Address string }

// networkID is made of the name: the networks that are always there have no
// record that could hold one.
func networkID(name string) string {
	sum := sha256.Sum256([]byte("rootlet network " + name))
	return hex.EncodeToString(sum[:])
}

// Always says that a network needs no making, and cannot be removed.
func Always(name string) bool { return name == bridge.Default || slices.Contains(Networks(), name) }

// FindNetwork resolves a network's name, id, or the beginning of its id.
func FindNetwork(given string) (name string, found bool) {
	all := Networks()
	for _, n := range all {
		if n == given {
			return n, true
		}
	}
	for _, n := range all {
		if given != "" && strings.HasPrefix(networkID(n), given) {
			return n, true
		}
	}
	return "", false
}

// NetworkOf describes a network and the containers that are up in it.
func NetworkOf(name string, entries []record.Entry) Network {
	n := Network{
		Name: name, ID: networkID(name), Created: "0001-01-01T00:00:00Z", Scope: "local", Driver: name, EnableIPv4: true,
		IPAM:    IPAM{Driver: "default", Config: []IPAMConfig{}},
		Options: map[string]string{}, Labels: map[string]string{}, Containers: map[string]NetworkContainer{},
	}
	switch {
	case name == slirp.None:
		n.Driver = "null"
	case slirp.IsDriver(name):
		s := slirp.Settings{}
		n.IPAM.Config = append(n.IPAM.Config, IPAMConfig{Subnet: s.Prefix().String(), Gateway: s.GatewayIP().String()})
	}
	for _, e := range entries {
		if e.Network() != name || !e.State.Status.Up() {
			continue
		}
		c := NetworkContainer{Name: e.Spec.Name, EndpointID: e.ID}
		if s := slirp.Settings(e.Spec.NetworkSettings); slirp.IsDriver(name) {
			c.IPv4Address = fmt.Sprintf("%s/%d", s.ContainerIP(), s.Prefix().Bits())
		}
		n.Containers[e.ID] = c
	}
	return n
}
