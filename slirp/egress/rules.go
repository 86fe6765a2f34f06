package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"rootlet/internal/iana"
)

// Words of --egress.
const (
	None   = "none"   // nothing
	Public = "public" // whatever is not private, link-local, this host's, or a cloud's metadata
)

// Rules are what is allowed. The zero Rules allow nothing.
type Rules struct {
	public  bool
	entries []entry
}

// entry is one destination: a name, one for all below it, or a prefix; and ports.
type entry struct {
	name        string // in lower case; empty for a prefix
	below       bool   // *.name
	prefix      netip.Prefix
	first, last uint16
}

// Parse reads the values of --egress, each a list with commas:
//
//	none, public
//	api.example.com:443, *.example.org, 192.0.2.7:5432, 10.0.0.0/8, [2001:db8::1]:80-90, *:443
//
// Without a port all of them are meant. `none` is for itself alone.
func Parse(values []string) (r Rules, err error) {
	var words []string
	for _, value := range values {
		words = append(words, strings.Split(value, ",")...)
	}
	for _, word := range words {
		switch word = strings.TrimSpace(word); word {
		case None:
			if len(words) > 1 {
				return r, errors.New("none allows nothing else beside it")
			}
		case Public:
			r.public = true
		default:
			e, err := parseEntry(word)
			if err != nil {
				return r, fmt.Errorf("%q: %w", word, err)
			}
			r.entries = append(r.entries, e...)
		}
	}
	return r, nil
}

func parseEntry(word string) ([]entry, error) {
	host, ports := splitPort(word)
	var e entry
	var err error
	if e.first, e.last, err = parsePorts(ports); err != nil {
		return nil, err
	}
	if host == "*" {
		v4, v6 := e, e
		v4.prefix, v6.prefix = netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		return []entry{v4, v6}, nil
	}
	if prefix, ok := parsePrefix(host); ok {
		e.prefix = prefix
		return []entry{e}, nil
	}
	e.name, e.below = strings.CutPrefix(strings.ToLower(strings.TrimSuffix(host, ".")), "*.")
	if err := checkName(e.name); err != nil {
		return nil, err
	}
	return []entry{e}, nil
}

// splitPort cuts the ports off. An IPv6 address with ports stands in brackets.
func splitPort(word string) (host, ports string) {
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(word, "["), "]"); ok && strings.HasPrefix(word, "[") {
		return inner, strings.TrimPrefix(rest, ":")
	}
	if strings.Count(word, ":") == 1 {
		host, ports, _ = strings.Cut(word, ":")
		return host, ports
	}
	return word, ""
}

// anyPort is the last of all.
const anyPort = 65535

func parsePorts(text string) (first, last uint16, err error) {
	if text == "" {
		return 0, anyPort, nil
	}
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 16)
	b, errB := strconv.ParseUint(to, 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("port %q: want 1 to 65535, or a range of them", text)
	}
	return uint16(a), uint16(b), nil
}

func parsePrefix(text string) (netip.Prefix, bool) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err == nil
}

// checkName refuses what could only be a mistake (RFC 1123 section 2.1).
func checkName(name string) error {
	if name == "" || len(name) > 253 {
		return errors.New("want a name, an address, a subnet, none or public")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%q is no part of a name", label)
		}
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return errors.New("is no address")
	}
	return nil
}

// names says that a name is allowed, whatever its ports.
func (e entry) names(name string) bool {
	return e.name != "" && (name == e.name && !e.below || e.below && strings.HasSuffix(name, "."+e.name))
}

func (e entry) hasPort(port uint16) bool { return e.first <= port && port <= e.last }

// allowsAddress decides by the address alone. An ICMP echo has port 0, and goes where
// any port is allowed.
func (r Rules) allowsAddress(to netip.AddrPort) bool {
	ip := to.Addr().Unmap()
	if r.public && iana.ClassOf(ip) == iana.Public {
		return true
	}
	for _, e := range r.entries {
		if e.prefix.IsValid() && e.prefix.Contains(ip) && (to.Port() == 0 || e.hasPort(to.Port())) {
			return true
		}
	}
	return false
}

// resolves says that a name may be looked up: one that is allowed, or any where there
// are addresses that have no name here.
func (r Rules) resolves(name string) bool {
	if r.public {
		return true
	}
	for _, e := range r.entries {
		if e.names(name) || e.prefix.IsValid() && e.prefix.Bits() == 0 {
			return true
		}
	}
	return false
}
