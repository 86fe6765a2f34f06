package registry

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"

	"golang.org/x/net/publicsuffix"
)

// realm is a registry's token server.
type realm struct {
	url     *url.URL
	service string
	trusted bool // may see the login
}

// realmOf checks the token server that a registry names. It is asked in any
// case, since public images need a token too, but shown the login only where
// the registry has it under its own domain (CVE-2020-15157: any registry can
// name any server), and then by https or on the loopback, or else anybody on
// the way could read it.
func (c Config) realmOf(found challenge, registryHost string) (realm, error) {
	text := found.params["realm"]
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return realm{}, fmt.Errorf("the registry names no token server that could be reached: %q", limit(text, 100))
	case u.Scheme == "https", u.Scheme == "http" && (isLoopback(u.Host) || c.Insecure):
	default:
		return realm{}, fmt.Errorf("the registry's token server %s is not https", limit(u.Host, 100))
	}
	u.User, u.Fragment = nil, ""
	return realm{url: u, service: found.params["service"], trusted: c.trustsRealm(hostname(u.Host), hostname(registryHost))}, nil
}

// trustsRealm reports whether a token server belongs to a registry.
func (c Config) trustsRealm(host, registry string) bool {
	return host == registry || sameSite(host, registry) || slices.Contains(c.TokenServers, host) ||
		host == "auth.docker.io" && (registry == "registry.hub.docker.com" || registry == "dhi.io") // Docker's, all three
}

// sameSite reports whether two hosts have one owner: they lie under the same
// name that can be registered. Those who let others register names below theirs,
// as cloud providers do, are on the list for it.
func sameSite(a, b string) bool {
	for _, host := range []string{a, b} {
		if _, err := netip.ParseAddr(host); err == nil {
			return false
		}
	}
	siteA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	siteB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && siteA == siteB
}
