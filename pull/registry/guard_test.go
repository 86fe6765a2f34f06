package registry

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"rootlet/internal/iana"
)

// testGuard takes 127.0.0.1 for a public address, and 127.0.0.2 for this machine.
func testGuard(registry string) *guard {
	g := newGuard(registry, time.Second)
	g.classify = func(ip netip.Addr) iana.Class {
		switch ip.Unmap().String() {
		case "127.0.0.1":
			return iana.Public
		case "127.0.0.2":
			return iana.Loopback
		case "127.0.0.3":
			return iana.Private
		}
		return iana.ClassOf(ip)
	}
	return g
}

func TestGuard(t *testing.T) {
	open, closed, inside := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.2:0"), listen(t, "127.0.0.3:0")
	cases := []struct {
		name     string
		registry string
		to       string
		allowed  bool
	}{
		{"public to public", open, open, true},
		{"public to this machine", open, closed, false},
		{"public to this network", open, inside, false},
		{"this machine to itself", closed, closed, true},
		{"this machine to public", closed, open, true},
		{"this machine to this network", closed, inside, false},
		{"this network to this machine", inside, closed, false},
		{"this network to itself", inside, inside, true},
		{"metadata from this network", inside, "169.254.169.254:80", false},
		{"metadata as IPv6", open, "[::ffff:169.254.169.254]:80", false},
		{"decimal", open, "2130706433:80", false},
		{"hexadecimal", open, "0x7f000001:80", false},
		{"short", open, "127.1:80", false},
		{"octal", open, "0177.0.0.1:80", false},
		{"localhost", open, "localhost:80", false},
		{"below localhost", open, "a.localhost:80", false},
		{"Google's metadata", open, "metadata.google.internal:80", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := testGuard(c.registry)
			first, err := g.dial(context.Background(), "tcp", c.registry)
			if err != nil {
				t.Fatalf("the registry itself: %v", err)
			}
			first.Close()
			conn, err := g.dial(context.Background(), "tcp", c.to)
			if err == nil {
				conn.Close()
			}
			if (err == nil) != c.allowed || err != nil && !errors.Is(err, errForbidden) {
				t.Errorf("%s: %v", c.to, err)
			}
		})
	}
}

// TestRebinding has the registry's own name lead to this machine from the second
// look on.
func TestRebinding(t *testing.T) {
	g := testGuard("registry.example")
	at := func(ip string) error { return g.check("registry.example", ip+":443", true) }
	if err := at("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	g.settle(net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:443")))
	if err := at("127.0.0.2"); !errors.Is(err, errForbidden) {
		t.Errorf("it leads to this machine now: %v", err)
	}
	if err := at("127.0.0.1"); err != nil {
		t.Error(err)
	}
}

// TestGuardOverProxy has nothing but names to go by.
func TestGuardOverProxy(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "10.0.0.1:3128"}
	cases := map[string]bool{
		"https://registry.example/": true, "https://cdn.example/": true, "https://8.8.8.8/": true,
		"https://127.0.0.1/": false, "https://10.1.2.3/": false, "https://169.254.169.254/": false, "https://[::1]/": false,
		"https://2130706433/": false, "https://0x7f000001/": false, "https://localhost/": false, "https://127.1/": false,
		"https://metadata.google.internal/": false,
	}
	for target, want := range cases {
		g := newGuard("registry.example", time.Second)
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.overProxy(u, proxy); (err == nil) != want || err != nil && !errors.Is(err, errForbidden) {
			t.Errorf("%s: %v", target, err)
		}
		if !g.isProxy("10.0.0.1:3128") {
			t.Error("the proxy itself may not be asked")
		}
	}
	// A registry that is written as a private address stands there.
	g := newGuard("10.0.0.5:5000", time.Second)
	own, _ := url.Parse("https://10.0.0.5:5000/")
	other, _ := url.Parse("https://10.0.0.6/")
	for _, u := range []*url.URL{own, other} {
		if err := g.overProxy(u, proxy); err != nil {
			t.Error(err)
		}
	}
}
