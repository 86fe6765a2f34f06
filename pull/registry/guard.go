package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"rootlet/internal/iana"
)

// errForbidden is an address that no registry has a say in.
var errForbidden = errors.New("refused")

// guard opens connections. A registry decides where we go by redirects, by its
// token server and by its name servers, and must not lead us to what only this
// host can reach (threats 31): an address that is not public is refused, after
// its name was looked up, unless the registry itself stands on its like.
type guard struct {
	host     string // the registry's, without port: the user named it
	dialer   net.Dialer
	classify func(netip.Addr) iana.Class

	mu      sync.Mutex
	stands  iana.Class // where the registry was found; unknown before
	proxies map[string]bool
}

func newGuard(registry string, timeout time.Duration) *guard {
	return &guard{
		host:     hostname(registry),
		dialer:   net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second},
		classify: iana.ClassOf,
		proxies:  map[string]bool{},
	}
}

// dial is the transport's DialContext. Each address that a name leads to is
// looked at before it is connected to; one that is refused is passed over.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := g.dialer
	host := hostname(address)
	own := host == g.host
	if !g.isProxy(address) {
		if err := g.written(host); err != nil {
			return nil, err
		}
		d.ControlContext = func(_ context.Context, _, found string, _ syscall.RawConn) error {
			return g.check(host, found, own)
		}
	}
	conn, err := d.DialContext(ctx, network, address)
	if err == nil && own && !g.isProxy(address) {
		g.settle(conn.RemoteAddr())
	}
	return conn, err
}

// check looks at an address that a name led to.
func (g *guard) check(host, found string, own bool) error {
	at, err := netip.ParseAddrPort(found)
	if err != nil {
		return err
	}
	c := g.classify(at.Addr())
	stands := g.where()
	switch {
	case c == iana.Public, c == stands && c != iana.Special:
		return nil
	case own && stands == iana.Unknown:
		return nil
	case own:
		// Whoever owns the name has it lead elsewhere now (DNS rebinding).
		return fmt.Errorf("%w: %s was %s before and leads to %s now, %s", errForbidden, host, stands, at.Addr(), c)
	}
	return fmt.Errorf("%w: the registry points to %s at %s, which is %s", errForbidden, limit(host, 100), at.Addr(), c)
}

// written looks at a host as it is written, as far as that goes; over a proxy
// nothing else is seen of it.
func (g *guard) written(host string) error {
	if host == g.host {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return g.check(host, netip.AddrPortFrom(ip, 0).String(), false)
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, number := number(strings.TrimSuffix(last, "."))
	switch {
	case number || strings.HasPrefix(last, "0x"):
		// An address to inet_aton(3), by which some proxies read it: 2130706433,
		// 0x7f000001, 127.1.
		return fmt.Errorf("%w: the registry points to %q, which is no host's name", errForbidden, limit(host, 100))
	case host == "localhost" || strings.HasSuffix(host, ".localhost"):
		if g.where() != iana.Loopback {
			return fmt.Errorf("%w: the registry points to this machine (%s)", errForbidden, limit(host, 100))
		}
	case host == "metadata" || host == "metadata.google.internal" || host == "instance-data":
		return fmt.Errorf("%w: the registry points to a cloud's metadata (%s)", errForbidden, host)
	}
	return nil
}

// overProxy looks at what a proxy is asked for, and remembers the proxy, which
// may stand anywhere: the user named it.
func (g *guard) overProxy(target, proxy *url.URL) error {
	g.mu.Lock()
	g.proxies[withPort(proxy.Scheme, proxy.Host)] = true
	g.mu.Unlock()
	if host := hostname(target.Host); host != g.host {
		return g.written(host)
	}
	if ip, err := netip.ParseAddr(g.host); err == nil {
		g.settle(net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	}
	return nil
}

func (g *guard) isProxy(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxies[address]
}

func (g *guard) where() iana.Class {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stands
}

// settle remembers where the registry was found first.
func (g *guard) settle(at net.Addr) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stands == iana.Unknown {
		g.stands = g.classify(tcp.AddrPort().Addr())
	}
}

// hostname is the host of HOST or HOST:PORT, in one form.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
