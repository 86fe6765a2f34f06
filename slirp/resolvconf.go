package slirp

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// ResolvConfig is what a container's /etc/resolv.conf is made from.
type ResolvConfig struct {
	// Host is the host's own file.
	Host []byte
	// Nameserver is the network's: Settings.NameserverIP under a driver. The zero Addr
	// leaves the host's nameservers as they are, for --network host.
	Nameserver netip.Addr
	// Isolated is --network none: nothing of the host's is of use, so only what is
	// asked for by DNS and Search is written.
	Isolated bool
	// DNS are the values of --dns; they replace every other nameserver.
	DNS []netip.Addr
	// Search are the values of --dns-search; they replace the host's, and NoSearch
	// alone means none.
	Search []string
}

// ResolvConf makes a container's /etc/resolv.conf. On the host's network with
// nothing asked for it is the host's file to the byte. It fails for search domains
// that would break a line.
func ResolvConf(c ResolvConfig) ([]byte, error) {
	for _, name := range c.Search {
		if _, err := ParseDNSSearch(name); err != nil {
			return nil, err
		}
	}
	host := parseResolv(c.Host)
	switch {
	case c.Isolated:
		host = resolv{}
	case c.Nameserver.IsValid():
		host.nameservers = []string{c.Nameserver.String()}
	case len(c.DNS) == 0 && len(c.Search) == 0:
		return bytes.Clone(c.Host), nil
	}
	if len(c.DNS) > 0 {
		host.nameservers = nil
		for _, ip := range c.DNS {
			host.nameservers = append(host.nameservers, ip.WithZone("").String())
		}
	}
	if len(c.Search) > 0 {
		host.search = withoutNone(c.Search)
	}
	return host.format(), nil
}

func withoutNone(search []string) (names []string) {
	for _, name := range search {
		if name != NoSearch {
			names = append(names, strings.TrimSuffix(name, "."))
		}
	}
	return names
}

// resolv is what of a resolv.conf(5) is carried over, each word fit for a line.
type resolv struct {
	nameservers []string // addresses; with a zone where the host's has one
	search      []string
	options     []string
}

// parseResolv reads a resolv.conf(5) as the C library does: the last search or
// domain line counts, options add up, and what cannot be understood is passed over.
func parseResolv(file []byte) (r resolv) {
	for line := range bytes.Lines(file) {
		// A comment starts a line; there is none behind a word.
		words := strings.Fields(string(line))
		if len(words) < 2 || strings.ContainsAny(words[0][:1], "#;") {
			continue
		}
		switch words[0] {
		case "nameserver":
			if _, err := netip.ParseAddr(words[1]); err == nil && plain(words[1]) {
				r.nameservers = append(r.nameservers, words[1])
			}
		case "search":
			r.search = searchNames(words[1:])
		case "domain":
			r.search = searchNames(words[1:2])
		case "options":
			r.options = append(r.options, plainWords(words[1:])...)
		}
	}
	return r
}

func searchNames(words []string) (names []string) {
	for _, w := range words {
		if name, err := ParseDNSSearch(w); err == nil && name != NoSearch {
			names = append(names, name)
		}
	}
	return names
}

func plainWords(words []string) (kept []string) {
	for _, w := range words {
		if plain(w) {
			kept = append(kept, w)
		}
	}
	return kept
}

// plain says that a word is printable ASCII; an address's zone may hold anything.
func plain(word string) bool {
	return !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' })
}

// format writes the order in which people expect it.
func (r resolv) format() []byte {
	var b bytes.Buffer
	if len(r.search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.search, " "))
	}
	for _, ip := range r.nameservers {
		fmt.Fprintf(&b, "nameserver %s\n", ip)
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.options, " "))
	}
	return b.Bytes()
}
