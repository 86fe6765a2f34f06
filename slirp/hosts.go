package slirp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// HostGateway as the address of --add-host stands for the host as the container
// reaches it.
const HostGateway = "host-gateway"

// HostEntry is one name that a container knows.
type HostEntry struct {
	Name string
	// IP is the zero Addr for HostGateway.
	IP netip.Addr
}

// ParseAddHost reads a value of --add-host: NAME:IP or NAME=IP, where IP may be
// HostGateway and an IPv6 address may stand in brackets.
func ParseAddHost(value string) (HostEntry, error) {
	// The equals sign wins: an IPv6 address has colons, a name has neither.
	name, address, ok := strings.Cut(value, "=")
	if !ok {
		name, address, ok = strings.Cut(value, ":")
	}
	if !ok {
		return HostEntry{}, fmt.Errorf("%q is not NAME:IP", value)
	}
	if err := checkName(name); err != nil {
		return HostEntry{}, fmt.Errorf("%q: name %q: %w", value, name, err)
	}
	if address == HostGateway {
		return HostEntry{Name: name}, nil
	}
	ip, err := netip.ParseAddr(unbracket(address))
	if err != nil || ip.Zone() != "" {
		return HostEntry{}, fmt.Errorf("%q: %q is not an IP address", value, address)
	}
	return HostEntry{Name: name, IP: ip}, nil
}

func unbracket(address string) string {
	if inner, ok := strings.CutPrefix(address, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok && strings.Contains(inner, ":") {
			return inner
		}
	}
	return address
}

// HostsConfig is what a container's /etc/hosts is made from.
type HostsConfig struct {
	// Hostname is the container's, with or without a domain; empty: no line for it.
	Hostname string
	// IPs are the container's addresses; none (--network none): its loopback.
	IPs []netip.Addr
	// Extra lines, as from ParseAddHost, in their order.
	Extra []HostEntry
	// Gateway is what HostGateway means: HostIP under slirp4netns, the loopback on
	// the host's own network, and the zero Addr where there is no way to the host.
	Gateway netip.Addr
	// Base is the host's own file, for --network host; it replaces the lines of
	// the loopback and of Hostname.
	Base []byte
}

// loopbackHosts are Docker's first lines.
const loopbackHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`

// Hostname makes a container's /etc/hostname. It fails as CheckHostname does.
func Hostname(name string) ([]byte, error) {
	if err := CheckHostname(name); err != nil {
		return nil, err
	}
	return []byte(name + "\n"), nil
}

// Hosts makes a container's /etc/hosts. It fails for names that would break a
// line, and for a HostGateway that has no address.
func Hosts(c HostsConfig) ([]byte, error) {
	var b bytes.Buffer
	if c.Base == nil {
		b.WriteString(loopbackHosts)
	} else {
		b.Write(wholeLines(c.Base))
	}
	for _, e := range c.Extra {
		if err := writeEntry(&b, e, c.Gateway); err != nil {
			return nil, fmt.Errorf("host %q: %w", e.Name, err)
		}
	}
	if c.Hostname == "" || c.Base != nil {
		return b.Bytes(), nil
	}
	if err := CheckHostname(c.Hostname); err != nil {
		return nil, err
	}
	for _, ip := range orLoopback(c.IPs) {
		writeHost(&b, ip, c.Hostname)
	}
	return b.Bytes(), nil
}

func writeEntry(b *bytes.Buffer, e HostEntry, gateway netip.Addr) error {
	if err := checkName(e.Name); err != nil {
		return err
	}
	ip := e.IP
	if !ip.IsValid() {
		ip = gateway
	}
	if !ip.IsValid() {
		return errors.New("host-gateway has no address on this network")
	}
	fmt.Fprintf(b, "%s\t%s\n", ip.WithZone(""), e.Name)
	return nil
}

// writeHost writes the full name, then the part before the first dot, as
// hostname -f wants it.
func writeHost(b *bytes.Buffer, ip netip.Addr, name string) {
	short, _, domain := strings.Cut(name, ".")
	if domain {
		name += " " + short
	}
	fmt.Fprintf(b, "%s\t%s\n", ip.WithZone(""), name)
}

func orLoopback(ips []netip.Addr) []netip.Addr {
	if len(ips) == 0 {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return ips
}

// wholeLines ends a file that does not end in a newline.
func wholeLines(file []byte) []byte {
	if len(file) == 0 || file[len(file)-1] == '\n' {
		return file
	}
	return append(bytes.Clone(file), '\n')
}
