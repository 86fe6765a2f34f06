package slirp

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"rootlet/slirp/builtin"
)

// The networks of --network. Slirp4netns, Pasta and Builtin are drivers: each gives
// the container a TCP/IP stack in user space behind a tap device of its own, with the
// same addresses.
const (
	Auto        = "auto" // the first of the drivers that works here
	Slirp4netns = "slirp4netns"
	Pasta       = "pasta"
	Builtin     = "builtin" // in this binary
	None        = "none"    // loopback only
	Bridge      = "bridge"  // networks with a name, which containers share (slirp/bridge)
	Host        = "host"    // the host's own
)

// Drivers are those that Auto chooses from, in its order.
func Drivers() []string { return []string{Slirp4netns, Pasta, Builtin} }

// Settings is how a driver's network is.
type Settings struct {
	HostLoopback bool         // the gateway leads to the host's loopback, which is closed otherwise
	MTU          int          // of the container's interface, in bytes; 0: DefaultMTU
	Subnet       netip.Prefix // the zero Prefix: DefaultSubnet
}

// DefaultMTU is the largest that Linux lets a tap device have, less one: every frame
// costs a driver the same, so the longest are the fastest.
const DefaultMTU = builtin.DefaultMTU

// Bounds of --network DRIVER:mtu=: what IPv4 asks every host to take (RFC 791), and
// the most that a tap device has.
const (
	leastMTU = 576
	mostMTU  = 65521
)

// DefaultSubnet is slirp4netns' own (slirp4netns(1)).
var DefaultSubnet = builtin.DefaultNet4

// longestPrefix still has room for the addresses that a network gives out.
const longestPrefix = 25

// Offsets of a network's addresses in its subnet (slirp4netns(1)).
const (
	gatewayOffset    = 2
	nameserverOffset = 3
	containerOffset  = 100
)

// ContainerIP is the container's address.
func (s Settings) ContainerIP() netip.Addr { return s.address(containerOffset) }

// GatewayIP is the default route. Behind it is the host's loopback, where that is
// open; for the host itself see HostIP.
func (s Settings) GatewayIP() netip.Addr { return s.address(gatewayOffset) }

// NameserverIP relays to the host's resolvers.
func (s Settings) NameserverIP() netip.Addr { return s.address(nameserverOffset) }

// Prefix is the subnet.
func (s Settings) Prefix() netip.Prefix {
	if s.Subnet.IsValid() {
		return s.Subnet.Masked()
	}
	return DefaultSubnet
}

func (s Settings) mtu() int { return cmp.Or(s.MTU, DefaultMTU) }

func (s Settings) address(offset byte) netip.Addr {
	base := s.Prefix().Addr().As4() // of at most 25 bits: nothing carries over
	base[3] += offset
	return netip.AddrFrom4(base)
}

// HasOwn says that a name of --network stands for one of the container's own, or the
// host's, and not for one that containers share.
func HasOwn(name string) bool {
	switch name {
	case "", "default", Auto, Slirp4netns, Pasta, Builtin, None, Host:
		return true
	}
	return false
}

// ParseNetwork reads the value of --network: a name, and for a driver what is to be
// different, in our words or in Podman's:
//
//	slirp4netns:allow-host-loopback,mtu=1500,cidr=10.9.0.0/24
func ParseNetwork(text string) (name string, s Settings, err error) {
	name, options, _ := strings.Cut(text, ":")
	switch name {
	case "", "default":
		name = Auto
	case Auto, Slirp4netns, Pasta, Builtin, None, Host:
	default:
		return "", s, fmt.Errorf("unknown network %q: want %s, %s, %s or %s", name, Auto, strings.Join(Drivers(), ", "), None, Host)
	}
	if options == "" {
		return name, s, nil
	}
	if name == None || name == Host {
		return "", s, fmt.Errorf("network %s has no options, not %q", name, options)
	}
	for option := range strings.SplitSeq(options, ",") {
		if err := s.set(option); err != nil {
			return "", s, fmt.Errorf("network %s: %w", name, err)
		}
	}
	return name, s, nil
}

func (s *Settings) set(option string) (err error) {
	key, value, given := strings.Cut(option, "=")
	switch strings.ReplaceAll(key, "_", "-") {
	case "allow-host-loopback":
		s.HostLoopback = true
		if given {
			s.HostLoopback, err = strconv.ParseBool(value)
		}
	case "mtu":
		s.MTU, err = strconv.Atoi(value)
		if err == nil && (s.MTU < leastMTU || s.MTU > mostMTU) {
			err = fmt.Errorf("want %d to %d", leastMTU, mostMTU)
		}
	case "cidr":
		s.Subnet, err = netip.ParsePrefix(value)
		if err == nil && (!s.Subnet.Addr().Is4() || s.Subnet.Bits() > longestPrefix || s.Subnet.Bits() == 0) {
			err = fmt.Errorf("want IPv4 and a prefix of at most %d bits", longestPrefix)
		}
		s.Subnet = s.Subnet.Masked()
	default:
		return fmt.Errorf("unknown option %q: want allow-host-loopback, mtu=BYTES or cidr=SUBNET", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, plainError(err))
	}
	return nil
}

// plainError leaves out what a parser says of itself.
func plainError(err error) error {
	var number *strconv.NumError
	if errors.As(err, &number) {
		return number.Err
	}
	return err
}
