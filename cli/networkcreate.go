package cli

import (
	"errors"
	"fmt"
	"net/netip"

	"rootlet/sandbox/events"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
)

// networkCreateCmd is `rootlet network create`. It writes a record; no namespace.
type networkCreateCmd struct {
	Network    string   `arg:"" name:"network" help:"Its name."`
	Attachable bool     `name:"attachable" hidden:""`
	Driver     string   `name:"driver" short:"d" placeholder:"DRIVER" default:"bridge" help:"bridge: there is no other."`
	Gateway    []string `name:"gateway" sep:"none" placeholder:"IP" help:"The address of the network itself in the subnet before it; the first if not given."`
	Ignore     bool     `name:"ignore" help:"One that is there already is no error."`
	Internal   bool     `name:"internal" help:"It leads nowhere but to its containers."`
	IPRange    string   `name:"ip-range" placeholder:"SUBNET" help:"Addresses are given out of this part of the subnet."`
	IPv6       bool     `name:"ipv6" help:"IPv6, too: in a subnet of its own if none is given."`
	Label      []string `name:"label" sep:"none" placeholder:"KEY=VALUE" help:"A label."`
	Opt        []string `name:"opt" short:"o" sep:"none" placeholder:"KEY=VALUE" help:"mtu: of the interfaces, in bytes."`
	Subnet     []string `name:"subnet" sep:"none" placeholder:"SUBNET" help:"Its addresses, as 10.9.0.0/24: one of IPv4, one of IPv6; a free one if not given."`
}

// Run makes the network and prints its id, as Docker does.
func (c *networkCreateCmd) Run(a *app) error {
	n := bridge.Network{Name: c.Network, Internal: c.Internal, Labels: pairs(c.Label), Options: pairs(c.Opt)}
	switch {
	case c.Driver != bridge.Driver:
		return fmt.Errorf("network driver %q: rootlet has %s only", c.Driver, bridge.Driver)
	case slirp.HasOwn(c.Network) || c.Network == bridge.Default:
		return fmt.Errorf("network %s is always there: choose another name", c.Network)
	}
	if err := c.fillSubnets(&n); err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	made, err := paths.Networks().Create(n)
	var exists *bridge.ExistsError
	if c.Ignore && errors.As(err, &exists) {
		if made, err = paths.Networks().Inspect(c.Network); err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, made.ID)
		return err
	}
	if err != nil {
		return err
	}
	_ = events.Append(paths.Data, networkEvent("create", made, ""))
	_, err = fmt.Fprintln(a.stdout, made.ID)
	return err
}

func (c *networkCreateCmd) fillSubnets(n *bridge.Network) error {
	for _, text := range c.Subnet {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("invalid subnet %q: want one like 10.9.0.0/24", text)
		}
		into := &n.Subnet4
		if p.Addr().Is6() {
			into = &n.Subnet6
		}
		if into.IsValid() {
			return fmt.Errorf("subnet %v: a network has one of IPv4 and one of IPv6", p)
		}
		*into = p
	}
	if c.IPv6 && !n.Subnet6.IsValid() {
		n.Subnet6 = bridge.RandomSubnet6()
	}
	for _, text := range c.Gateway {
		ip, err := netip.ParseAddr(text)
		switch {
		case err != nil || ip.Zone() != "":
			return fmt.Errorf("invalid gateway %q: want an address", text)
		case ip.Is4() && n.Subnet4.IsValid():
			n.Gateway4 = ip
		case ip.Is6() && n.Subnet6.IsValid():
			n.Gateway6 = ip
		default:
			return fmt.Errorf("gateway %v: it needs a --subnet that it is in", ip)
		}
	}
	if c.IPRange == "" {
		return nil
	}
	p, err := netip.ParsePrefix(c.IPRange)
	if err != nil || !p.Addr().Is4() {
		return fmt.Errorf("invalid range %q: want one like 10.9.0.128/25", c.IPRange)
	}
	n.Range4 = p
	return nil
}
