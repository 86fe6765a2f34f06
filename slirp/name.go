package slirp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// maxHostname is what sethostname(2) takes, less the byte that RFC 1123 labels
// leave free, in bytes.
const maxHostname = 63

// maxName bounds a domain name in text form (RFC 1035 section 2.3.4), in bytes.
const maxName = 253

// CheckHostname refuses what is no RFC 1123 host name of at most 63 bytes. Such a
// name goes into files line by line, so a newline in it would be a line of its own.
func CheckHostname(name string) error {
	if len(name) > maxHostname {
		return fmt.Errorf("hostname %q is longer than %d bytes", name, maxHostname)
	}
	if err := checkLabels(name, isAlphanumeric); err != nil {
		return fmt.Errorf("hostname %q: %w", name, err)
	}
	return nil
}

// checkName is for names that are only looked up: the underscore is allowed, for
// service records and careless administrators have it.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("longer than %d bytes", maxName)
	}
	return checkLabels(name, func(c byte) bool { return isAlphanumeric(c) || c == '_' })
}

// checkLabels looks at each part between dots; letter says which bytes may stand
// everywhere, the hyphen may stand inside.
func checkLabels(name string, letter func(byte) bool) error {
	if name == "" {
		return errors.New("empty")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return errors.New("an empty part between dots")
		}
		if len(label) > 63 {
			return errors.New("a part longer than 63 bytes")
		}
		for i := range len(label) {
			inside := i > 0 && i < len(label)-1
			if c := label[i]; !letter(c) && (c != '-' || !inside) {
				return fmt.Errorf("%q is not allowed there", rune(c))
			}
		}
	}
	return nil
}

// ParseDNS reads a value of --dns: an IPv4 or IPv6 address. A zone is refused; it
// would name an interface of the host.
func ParseDNS(value string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(value)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", value)
	}
	return ip, nil
}

// NoSearch as a value of --dns-search stands for an empty search list.
const NoSearch = "."

// ParseDNSSearch reads a value of --dns-search: a domain name, or NoSearch. A dot
// at the end is taken off.
func ParseDNSSearch(value string) (string, error) {
	if value == NoSearch {
		return value, nil
	}
	name := strings.TrimSuffix(value, ".")
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%q is not a domain name: %w", value, err)
	}
	return name, nil
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isControl(r rune) bool { return unicode.IsControl(r) }

func hasControl(s string) bool { return strings.ContainsFunc(s, isControl) }
