package bridge

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	"rootlet/slirp/builtin"
)

// Version is that of Network. One of another version is not guessed at.
const Version = 1

// Driver is the only one there is, by Docker's name.
const Driver = "bridge"

// Default is the network that is always there, by Docker's name.
const Default = "bridge"

// Network says what a network is. It never changes.
type Network struct {
	Version int       `json:"version"`
	ID      string    `json:"id"` // 64 lower-case hexadecimal digits
	Name    string    `json:"name"`
	Created time.Time `json:"created"`

	Subnet4  netip.Prefix `json:"subnet4"`
	Gateway4 netip.Addr   `json:"gateway4"`        // and the name server
	Range4   netip.Prefix `json:"range4,omitzero"` // addresses are given out of it; the zero Prefix: of Subnet4
	Subnet6  netip.Prefix `json:"subnet6,omitzero"`
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`

	Internal bool              `json:"internal,omitempty"` // leads nowhere but to its members
	Labels   map[string]string `json:"labels,omitempty"`
	Options  map[string]string `json:"options,omitempty"` // as given: see CheckOptions
}

// nameRule is Docker's.
var nameRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// CheckName reports whether name may be a network's.
func CheckName(name string) error {
	if !nameRule.MatchString(name) || len(name) > 64 {
		return fmt.Errorf("invalid network name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, and 64 of them", name)
	}
	return nil
}

// The option of a network, by Docker's name and by Podman's.
var mtuOptions = []string{"mtu", "com.docker.network.driver.mtu"}

// The least MTU is what IPv6 asks for (RFC 8200 section 5), the most a tap device's.
const (
	leastMTU = 1280
	mostMTU  = 65521
)

// CheckOptions reports whether a network may have these options.
func CheckOptions(options map[string]string) error {
	for key, value := range options {
		if !slices.Contains(mtuOptions, key) {
			return fmt.Errorf("invalid option %q: the driver %s has mtu", key, Driver)
		}
		if n, err := strconv.Atoi(value); err != nil || n < leastMTU || n > mostMTU {
			return fmt.Errorf("invalid option %s=%s: want %d to %d", key, value, leastMTU, mostMTU)
		}
	}
	return nil
}

// MTU is that of the members' interfaces, in bytes.
func (n Network) MTU() int {
	for _, key := range mtuOptions {
		if mtu, err := strconv.Atoi(n.Options[key]); err == nil {
			return mtu
		}
	}
	return builtin.DefaultMTU
}

// standard is the network that is always there. Its subnet is that of Podman's.
func standard() Network {
	return Network{
		Version: Version, ID: "b0" + fmt.Sprintf("%062x", 0), Name: Default,
		Subnet4: netip.MustParsePrefix("10.88.0.0/16"), Gateway4: netip.MustParseAddr("10.88.0.1"),
	}
}

// The subnets that are given out, as Podman does: one of 256 addresses for each network.
var (
	pool       = netip.MustParsePrefix("10.89.0.0/16")
	poolPrefix = 24
)

// complete fills in what was not asked for, and checks the rest against the networks
// that are there and the host's own addresses.
func (n *Network) complete(others []Network, host []netip.Prefix) error {
	if err := n.check(); err != nil {
		return err
	}
	for _, other := range others {
		for _, mine := range []netip.Prefix{n.Subnet4, n.Subnet6} {
			for _, theirs := range []netip.Prefix{other.Subnet4, other.Subnet6} {
				if mine.IsValid() && theirs.IsValid() && mine.Overlaps(theirs) {
					return fmt.Errorf("the subnet %v overlaps %v of the network %s", mine, theirs, other.Name)
				}
			}
		}
	}
	if !n.Subnet4.IsValid() {
		taken := host
		for _, other := range others {
			taken = append(taken, other.Subnet4)
		}
		if n.Subnet4 = free(taken); !n.Subnet4.IsValid() {
			return fmt.Errorf("every subnet of %v is taken; choose one with --subnet", pool)
		}
	}
	if !n.Gateway4.IsValid() {
		n.Gateway4 = first(n.Subnet4)
	}
	if n.Subnet6.IsValid() && !n.Gateway6.IsValid() {
		n.Gateway6 = first(n.Subnet6)
	}
	return nil
}

// The longest subnets still have room for a gateway and a member.
const (
	longest4 = 30
	longest6 = 120
)

func (n *Network) check() error {
	n.Subnet4, n.Subnet6, n.Range4 = n.Subnet4.Masked(), n.Subnet6.Masked(), n.Range4.Masked()
	switch {
	case n.Subnet4.IsValid() && (n.Subnet4.Bits() > longest4 || n.Subnet4.Bits() < 8):
		return fmt.Errorf("the subnet %v: want 8 to %d bits", n.Subnet4, longest4)
	case n.Subnet6.IsValid() && (n.Subnet6.Bits() > longest6 || n.Subnet6.Bits() < 8 || n.Subnet6.Addr().Is4In6()):
		return fmt.Errorf("the subnet %v: want 8 to %d bits", n.Subnet6, longest6)
	case unusable(n.Subnet4) || unusable(n.Subnet6):
		return fmt.Errorf("the subnet %v is none that a container can have", cmp.Or(n.Subnet4, n.Subnet6))
	case n.Gateway4.IsValid() && !usable(n.Subnet4, n.Gateway4):
		return fmt.Errorf("the gateway %v is not of the subnet %v", n.Gateway4, n.Subnet4)
	case n.Gateway6.IsValid() && !usable(n.Subnet6, n.Gateway6):
		return fmt.Errorf("the gateway %v is not of the subnet %v", n.Gateway6, n.Subnet6)
	case n.Range4.IsValid() && (!n.Subnet4.IsValid() || !n.Subnet4.Contains(n.Range4.Addr()) || n.Range4.Bits() < n.Subnet4.Bits()):
		return fmt.Errorf("the range %v is not within the subnet %v", n.Range4, n.Subnet4)
	}
	return nil
}

// unusable says that a subnet means something else to a kernel.
func unusable(p netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	ip := p.Addr()
	return ip.IsLoopback() || ip.IsMulticast() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.Is4() && ip.As4()[0] >= 240
}

// usable says that an address can be a host's in a subnet.
func usable(p netip.Prefix, ip netip.Addr) bool {
	return p.IsValid() && p.Contains(ip) && ip != p.Addr() && (ip.Is6() || ip != last(p))
}

// first is the address behind the subnet's own.
func first(p netip.Prefix) netip.Addr { return p.Addr().Next() }

// last is the broadcast address.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// free is the first subnet of the pool that overlaps nothing; the zero Prefix: none.
func free(taken []netip.Prefix) netip.Prefix {
	for p := netip.PrefixFrom(pool.Addr(), poolPrefix); pool.Contains(p.Addr()); {
		if !slices.ContainsFunc(taken, p.Overlaps) {
			return p
		}
		p = netip.PrefixFrom(last(p).Next(), poolPrefix)
	}
	return netip.Prefix{}
}

// RandomSubnet6 is a subnet of IPv6 that nobody else has (RFC 4193).
func RandomSubnet6() netip.Prefix {
	b := [16]byte{0: 0xfd}
	_, _ = rand.Read(b[1:7])
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

func randomID() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
