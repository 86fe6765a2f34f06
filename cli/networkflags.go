package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
	"rootlet/slirp/egress"
)

// networkFlags say how a container is connected.
type networkFlags struct {
	IP         string   `name:"ip" placeholder:"IP" help:"Its address in a network with a name."`
	IP6        string   `name:"ip6" placeholder:"IP" help:"Its IPv6 address there."`
	MacAddress string   `name:"mac-address" placeholder:"MAC" help:"The hardware address of its interface there."`
	Network    []string `name:"network" aliases:"net" sep:"none" placeholder:"NETWORK[:OPTIONS]" help:"auto (if not given), a driver, none, host, container:NAME, bridge, or the name of a network; a driver's options are allow-host-loopback, mtu= and cidr=, a network's ip=, ip6=, mac= and alias=."`
	NetAlias   []string `name:"network-alias" aliases:"net-alias" sep:"none" placeholder:"NAME" help:"A further name of its in a network with a name."`
}

// fillNetwork reads them.
func (c *newContainer) fillNetwork(r *sandbox.Request) error {
	r.Spec.Network = slirp.Auto
	for i, value := range c.Network {
		if other, shared := strings.CutPrefix(value, record.Sharing); shared {
			if len(c.Network) > 1 {
				return errSeveralNetworks
			}
			return errors.Join(c.fillShared(r, other), c.fillAddresses(r))
		}
		name, _, _ := strings.Cut(value, ":")
		if !slirp.HasOwn(name) {
			a, err := parseAttachment(value)
			if err != nil {
				return err
			}
			if i > 0 && r.Spec.Network != slirp.Bridge {
				return errSeveralNetworks
			}
			if slices.ContainsFunc(r.Spec.Networks, isIn(a.Network)) {
				return fmt.Errorf("--network: %s is given twice", a.Network)
			}
			r.Spec.Network, r.Spec.Networks = slirp.Bridge, append(r.Spec.Networks, a)
			continue
		}
		if len(c.Network) > 1 {
			return errSeveralNetworks
		}
		driver, settings, err := slirp.ParseNetwork(value)
		if err != nil {
			return err
		}
		r.Spec.Network, r.Spec.NetworkSettings = driver, record.NetworkSettings(settings)
	}
	if err := c.fillAddresses(r); err != nil {
		return err
	}
	return c.fillEgress(r)
}

var errSeveralNetworks = errors.New("--network: only networks with a name can be given together")

// parseAttachment reads NETWORK[:OPTION,...], as Podman has it, or Docker's
// name=NETWORK,OPTION,...
func parseAttachment(value string) (record.Attachment, error) {
	var a record.Attachment
	var options string
	if a.Network, options, _ = strings.Cut(value, ":"); strings.HasPrefix(value, "name=") {
		a.Network, options = "", value
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "" {
			continue
		}
		key, text, _ := strings.Cut(option, "=")
		var err error
		switch key {
		case "name":
			a.Network = text
		case "alias":
			a.Aliases = append(a.Aliases, text)
		case "ip":
			a.IP4, err = parseIP(text, true)
		case "ip6":
			a.IP6, err = parseIP(text, false)
		case "mac", "mac-address":
			a.Hardware, err = parseMAC(text)
		default:
			err = fmt.Errorf("unknown option %q: want alias=, ip=, ip6= or mac=", key)
		}
		if err != nil {
			return a, fmt.Errorf("network %s: %w", a.Network, err)
		}
	}
	return a, errors.Join(bridge.CheckName(a.Network), checkAliases(a.Aliases))
}

// fillAddresses gives the first network what stands in flags of its own.
func (c *newContainer) fillAddresses(r *sandbox.Request) error {
	if c.IP == "" && c.IP6 == "" && c.MacAddress == "" && len(c.NetAlias) == 0 {
		return nil
	}
	if len(r.Spec.Networks) == 0 {
		return errors.New("--ip, --ip6, --mac-address and --network-alias are for networks with a name: `rootlet network create` makes one, --network takes it")
	}
	return c.addressFlags().fill(&r.Spec.Networks[0])
}

func (c *networkFlags) addressFlags() addressFlags {
	return addressFlags{IP: c.IP, IP6: c.IP6, MAC: c.MacAddress, Aliases: c.NetAlias}
}

// addressFlags are what a command says of a container in one network.
type addressFlags struct {
	IP, IP6, MAC string
	Aliases      []string
}

func (f addressFlags) fill(a *record.Attachment) (err error) {
	a.Aliases = append(a.Aliases, f.Aliases...)
	if f.IP != "" {
		if a.IP4, err = parseIP(f.IP, true); err != nil {
			return fmt.Errorf("--ip: %w", err)
		}
	}
	if f.IP6 != "" {
		if a.IP6, err = parseIP(f.IP6, false); err != nil {
			return fmt.Errorf("--ip6: %w", err)
		}
	}
	if f.MAC != "" {
		if a.Hardware, err = parseMAC(f.MAC); err != nil {
			return fmt.Errorf("--mac-address: %w", err)
		}
	}
	return checkAliases(a.Aliases)
}

func parseIP(text string, four bool) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	kind := "IPv6"
	if four {
		kind = "IPv4"
	}
	if err != nil || ip.Is4() != four || ip.Zone() != "" {
		return ip, fmt.Errorf("invalid %s address %q", kind, text)
	}
	return ip, nil
}

func parseMAC(text string) (string, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return "", fmt.Errorf("invalid hardware address %q: want one like 02:42:0a:59:00:02", text)
	}
	return mac.String(), nil
}

// checkAliases takes what a name server can be asked for.
func checkAliases(aliases []string) error {
	for _, name := range aliases {
		if err := slirp.CheckHostname(name); err != nil {
			return fmt.Errorf("network alias %q: %w", name, err)
		}
	}
	return nil
}

// checkNetworks refuses networks that are not there.
func checkNetworks(r sandbox.Request) error {
	for _, a := range r.Spec.Networks {
		if _, err := findNetwork(r.Paths, a.Network); err != nil {
			return err
		}
	}
	return nil
}

// fillEgress reads --egress, which every driver can be held to.
func (c *newContainer) fillEgress(r *sandbox.Request) error {
	if len(c.Egress) == 0 {
		return nil
	}
	if _, err := egress.Parse(c.Egress); err != nil {
		return fmt.Errorf("--egress: %w", err)
	}
	if r.Spec.Network == slirp.Host {
		return errors.New("--egress: on the network host a container cannot be kept from anything")
	}
	r.Spec.Egress = c.Egress
	return nil
}
