package builtin

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// maxResolvers is the C library's MAXNS (resolv.conf(5)).
const maxResolvers = 3

// parseResolvers reads the nameservers of a resolv.conf(5). Where there is none,
// the C library asks this machine.
func parseResolvers(file []byte) (servers []netip.AddrPort) {
	for line := range bytes.Lines(file) {
		words := strings.Fields(string(line))
		if len(words) < 2 || words[0] != "nameserver" || len(servers) == maxResolvers {
			continue
		}
		if ip, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(ip.Unmap(), dnsPort))
		}
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{netip.AddrPortFrom(loopback4, dnsPort)}
	}
	return servers
}

// parseHosts reads a hosts(5). What is the host's own loopback there would be the
// container's here, so only localhost may be that.
func parseHosts(file []byte) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for line := range bytes.Lines(file) {
		text, _, _ := bytes.Cut(line, []byte("#"))
		words := strings.Fields(string(text))
		if len(words) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(words[0])
		if err != nil || ip.Zone() != "" || ip.Is4In6() {
			continue
		}
		for _, word := range words[1:] {
			name := canonical(word)
			if ip.IsLoopback() && name != "localhost" || slices.Contains(hosts[name], ip) {
				continue
			}
			hosts[name] = append(hosts[name], ip)
		}
	}
	return hosts
}

// canonical is a name as it is compared: names differ by no case (RFC 4343).
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
