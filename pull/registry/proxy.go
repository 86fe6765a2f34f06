package registry

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Proxy says over which proxy requests go: the values of the variables of the
// same names, as curl and Go read them.
type Proxy struct {
	HTTP  string `json:"http,omitempty"`  // for http: http, https or socks5, as a URL or as HOST:PORT
	HTTPS string `json:"https,omitempty"` // for https
	No    string `json:"no,omitempty"`    // hosts that are asked directly
}

// ProxyFrom reads the variables. The lower case form counts first, as with curl.
func ProxyFrom(getenv func(string) string) Proxy {
	either := func(name string) string {
		if value := getenv(strings.ToLower(name)); value != "" {
			return value
		}
		return getenv(name)
	}
	return Proxy{HTTP: either("HTTP_PROXY"), HTTPS: either("HTTPS_PROXY"), No: either("NO_PROXY")}
}

// For is the proxy of a request to u, or nil. This machine is never asked over
// one: a proxy would look for itself.
func (p Proxy) For(u *url.URL) (*url.URL, error) {
	address := map[string]string{"http": p.HTTP, "https": p.HTTPS}[u.Scheme]
	if address == "" || isLoopback(u.Host) || p.excepts(u) {
		return nil, nil
	}
	if proxy, err := url.Parse(address); err == nil && proxy.Host != "" {
		switch proxy.Scheme {
		case "http", "https", "socks5", "socks5h":
			return proxy, nil
		}
	}
	proxy, err := url.Parse("http://" + address)
	if err != nil || proxy.Host == "" || strings.Contains(address, "://") {
		// The address is not quoted: it may hold a password.
		return nil, &url.Error{Op: "proxy for", URL: u.Scheme + "://" + u.Host, Err: errNoProxy}
	}
	return proxy, nil
}

// excepts reports whether NO_PROXY names the host of u: "*", a name (and with it
// all below it), .name or *.name (those below it only), an address or a network
// in CIDR form, each but the last with :PORT where only that is meant.
func (p Proxy) excepts(u *url.URL) bool {
	host, port, _ := net.SplitHostPort(withPort(u.Scheme, u.Host))
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	address, _ := netip.ParseAddr(host)
	for word := range strings.FieldsFuncSeq(strings.ToLower(p.No), func(r rune) bool { return r == ',' || r == ' ' }) {
		if word == "*" {
			return true
		}
		if network, err := netip.ParsePrefix(word); err == nil {
			if address.IsValid() && network.Contains(address.Unmap()) {
				return true
			}
			continue
		}
		name := strings.Trim(word, "[]")
		if h, only, err := net.SplitHostPort(word); err == nil {
			if only != port {
				continue
			}
			name = h
		}
		if named(host, address, name) {
			return true
		}
	}
	return false
}

func named(host string, address netip.Addr, name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return address.IsValid() && ip.Unmap() == address.Unmap()
	}
	name = strings.TrimPrefix(name, "*")
	if strings.HasPrefix(name, ".") {
		return strings.HasSuffix(host, name)
	}
	return name != "" && (host == name || strings.HasSuffix(host, "."+name))
}
