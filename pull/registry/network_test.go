package registry

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// This is fault F27 of the threat table: names, addresses, proxies and
// certificates that do not do what they should.

// nameServer answers for one name; any other does not exist.
func nameServer(t *testing.T, name string, addresses ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, err := resolve(buf[:n], name, addresses); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func resolve(query []byte, name string, addresses []string) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if !strings.EqualFold(q.Name.String(), name+".") {
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	for _, text := range addresses {
		ip := netip.MustParseAddr(text)
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && ip.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
		case q.Type == dnsmessage.TypeAAAA && ip.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	return m.Pack()
}

// dialBy is Dial with names looked up elsewhere.
func dialBy(ctx context.Context, c Config, names *net.Resolver) (*Client, error) {
	c = c.withDefaults()
	client, err := newClient(c, c.address())
	if err != nil {
		return nil, err
	}
	client.policy.guard.dialer.Resolver = names
	if client.base, err = client.greet(ctx, c.address()); err != nil {
		return nil, client.policy.explain(err)
	}
	return client, nil
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestNameThatDoesNotExist(t *testing.T) {
	began := time.Now()
	_, err := dialBy(t.Context(), Config{Host: "nobody.test", RetryDelay: time.Second}, nameServer(t, "somebody.test"))
	if err == nil || !strings.Contains(err.Error(), "nobody.test") || !strings.Contains(err.Error(), "no such host") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v: what does not exist is not asked for again", took)
	}
}

// TestBlackHole has a name with an IPv6 address that swallows what is sent to it,
// and an IPv4 address that works.
func TestBlackHole(t *testing.T) {
	h := newHost(t, "127.0.0.1:0")
	port := portOf(t, h.Listener.Addr().String())
	swallow(t, port)
	client, err := dialBy(t.Context(), Config{Host: "two.test:" + port, Repository: "a", Insecure: true}, nameServer(t, "two.test", "::1", "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	began := time.Now()
	if _, _, err := client.Manifest(t.Context(), "latest"); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// swallow makes [::1]:port a listener that accepts nobody and has no room for
// more who wait: the kernel drops their first packet (listen(2)).
func swallow(t *testing.T, port string) {
	t.Helper()
	var n int
	fmt.Sscan(port, &n)
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		testenv.Skip(t, "IPv6 on the loopback")
	}
	t.Cleanup(func() { unix.Close(fd) })
	if unix.Bind(fd, &unix.SockaddrInet6{Port: n, Addr: netip.IPv6Loopback().As16()}) != nil || unix.Listen(fd, 0) != nil {
		testenv.Skip(t, "IPv6 on the loopback")
	}
	for range 4 {
		conn, err := net.DialTimeout("tcp6", "[::1]:"+port, 200*time.Millisecond)
		if err != nil {
			return // full
		}
		t.Cleanup(func() { conn.Close() })
	}
	testenv.Skip(t, "a listener that swallows connections")
}

// proxy is one for CONNECT that leads everywhere to the same place.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
	auth  []string
}

func newProxy(t *testing.T, to, credentials string) *proxy {
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.Host)
		p.auth = append(p.auth, r.Header.Get("Proxy-Authorization"))
		p.mu.Unlock()
		if credentials != "" && r.Header.Get("Proxy-Authorization") != credentials {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, here) }()
		_, _ = io.Copy(here, there)
	}))
	t.Cleanup(p.Close)
	return p
}

// tlsHost is a registry with TLS whose certificate is for example.com and
// 127.0.0.1, and the authority that signed it.
func tlsHost(t *testing.T) (address string, authority []byte, heard func() string) {
	t.Helper()
	var mu sync.Mutex
	var all strings.Builder
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = r.Header.Write(&all)
		fmt.Fprint(w, `{"schemaVersion":2}`)
	}))
	s.Config.ErrorLog = quietLog()
	s.StartTLS()
	t.Cleanup(s.Close)
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s.Listener.Addr().String(), authority, func() string { mu.Lock(); defer mu.Unlock(); return all.String() }
}

func TestProxyIsUsed(t *testing.T) {
	address, authority, heard := tlsHost(t)
	p := newProxy(t, address, "Basic dXNlcjpjYW5hcnktcHJveHk=") // user:canary-proxy
	config := Config{
		Host: "example.com", Repository: "a", TLS: TLS{CAs: [][]byte{authority}},
		Proxy: Proxy{HTTPS: strings.Replace(p.URL, "http://", "http://user:canary-proxy@", 1)},
	}
	client, err := Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, _, err := client.Manifest(t.Context(), "latest"); err != nil {
		t.Error(err)
	}
	if len(p.asked) == 0 || p.asked[0] != "CONNECT example.com:443" {
		t.Errorf("the proxy was asked %q", p.asked)
	}
	if strings.Contains(heard(), "Proxy-Authorization") {
		t.Error("the registry saw the proxy's credentials")
	}

	config.Proxy.HTTPS = strings.Replace(p.URL, "http://", "http://user:canary-wrong@", 1)
	if _, err := Dial(t.Context(), config); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "Proxy Authentication Required") {
		t.Errorf("wrong password: %v", err)
	}

	// What NO_PROXY names is looked up, and asked, directly.
	before := len(p.asked)
	config.Proxy.No = "example.com"
	if _, err := dialBy(t.Context(), config, nameServer(t, "other.test")); err == nil || len(p.asked) != before {
		t.Errorf("NO_PROXY: %v, proxy asked %q", err, p.asked[before:])
	}
}

// TestProxyIsGone has a proxy that does not answer.
func TestProxyIsGone(t *testing.T) {
	l := listenOn(t, "127.0.0.1:0")
	l.Close()
	config := Config{Host: "example.com", Repository: "a", Proxy: Proxy{HTTPS: "http://user:canary-proxy@" + l.Addr().String()}}
	_, err := Dial(t.Context(), config)
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "proxyconnect") {
		t.Errorf("error %v", err)
	}
}

// TestProxyIsNotLed has a registry behind a proxy point to what the proxy alone
// could reach.
func TestProxyIsNotLed(t *testing.T) {
	for _, target := range []string{"https://127.0.0.1/", "https://169.254.169.254/latest", "https://10.0.0.1/", "https://2130706433/"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.Redirect(w, r, target, http.StatusTemporaryRedirect)
			}
		}))
		s.StartTLS()
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		p := newProxy(t, s.Listener.Addr().String(), "")
		client, err := Dial(t.Context(), Config{Host: "example.com", Repository: "a", TLS: TLS{CAs: [][]byte{authority}}, Proxy: Proxy{HTTPS: p.URL}})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.Manifest(t.Context(), "latest"); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", target, err)
		}
		for _, asked := range p.asked {
			if asked != "CONNECT example.com:443" {
				t.Errorf("%s: the proxy was asked %q", target, asked)
			}
		}
		client.Close()
		s.Close()
	}
}

func TestCertificates(t *testing.T) {
	address, authority, _ := tlsHost(t)
	port := portOf(t, address)
	for name, c := range map[string]struct {
		config Config
		names  *net.Resolver
		want   string // empty for success
	}{
		"unknown authority": {Config{Host: address}, nil, "certificate signed by unknown authority"},
		"known authority":   {Config{Host: address, TLS: TLS{CAs: [][]byte{authority}}}, nil, ""},
		"not checked":       {Config{Host: address, Insecure: true}, nil, ""},
		"another name": {
			Config{Host: "wrong.test:" + port, TLS: TLS{CAs: [][]byte{authority}}},
			nameServer(t, "wrong.test", "127.0.0.1"),
			"certificate is valid for example.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			client, err := dialBy(t.Context(), c.config, c.names)
			if err == nil {
				client.Close()
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("error %v", err)
			case time.Since(began) > 2*time.Second:
				t.Errorf("took %v", time.Since(began))
			}
		})
	}
}
