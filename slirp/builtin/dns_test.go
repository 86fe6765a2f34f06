package builtin

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// question is a query for a name, without its last dot.
func question(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A record is what a fake resolver says of a name: addresses or another name.
func record(name, value string) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
		Name: dnsmessage.MustNewName(name + "."), Class: dnsmessage.ClassINET, TTL: 60,
	}}
	ip, err := netip.ParseAddr(value)
	switch {
	case err != nil:
		r.Body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(value + ".")}
	case ip.Is4():
		r.Body = &dnsmessage.AResource{A: ip.As4()}
	default:
		r.Body = &dnsmessage.AAAAResource{AAAA: ip.As16()}
	}
	return r
}

// respond is what a resolver sends for a query.
func respond(query []byte, code dnsmessage.RCode, truncated bool, answers ...dnsmessage.Resource) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil {
		return nil
	}
	m.Response, m.RCode, m.Truncated, m.Answers = true, code, truncated, answers
	b, _ := m.Pack()
	return b
}

// resolver answers on UDP and TCP of one address; answer may return nil.
func resolver(t testing.TB, answer func(network string, query []byte) []byte) netip.AddrPort {
	t.Helper()
	needHost(t)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), l.Close() })
	go func() {
		for b := make([]byte, packetMax); ; {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if response := answer("udp", slices.Clone(b[:n])); response != nil {
				_, _ = conn.WriteToUDPAddrPort(response, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if query, err := readMessage(c); err == nil {
				_ = writeMessage(c, answer("tcp", query))
			}
			_ = c.Close()
		}
	}()
	return at
}

// lookup asks the nameserver of a container, and says the code and what was given.
func lookup(t testing.TB, c *container, network string, server netip.Addr, query []byte) dnsmessage.Message {
	t.Helper()
	conn := c.mustDial(network, netip.AddrPortFrom(server, dnsPort))
	defer conn.Close()
	var response []byte
	var err error
	if network == "tcp" {
		if err = writeMessage(conn, query); err == nil {
			response, err = readMessage(conn)
		}
	} else if _, err = conn.Write(query); err == nil {
		response = make([]byte, packetMax)
		var n int
		n, err = conn.Read(response)
		response = response[:max(n, 0)]
	}
	if err != nil {
		t.Fatalf("ask by %s: %v", network, err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(response); err != nil || !answers(response, query) {
		t.Fatalf("no answer to the question: %v", err)
	}
	return m
}

func given(m dnsmessage.Message) (addrs []string) {
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			addrs = append(addrs, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			addrs = append(addrs, netip.AddrFrom16(body.AAAA).String())
		}
	}
	return addrs
}

var nameserver4, nameserver6 = at(DefaultNet4, nameserverByte), at(DefaultNet6, nameserverByte)

func TestNamesThroughAResolver(t *testing.T) {
	needHost(t)
	server := resolver(t, func(network string, query []byte) []byte {
		if network == "udp" {
			_, q, _ := parseQuestion(query)
			if q.Name.String() == "long.test." {
				return respond(query, 0, true)
			}
		}
		return respond(query, 0, false, record("name.test", "192.0.2.9"))
	})
	c := network(t, func(o *Options) { o.DNS, o.Hosts = []netip.AddrPort{server}, os.DevNull })
	query := question(t, "name.test", dnsmessage.TypeA)
	for _, ns := range []netip.Addr{nameserver4, nameserver6} {
		for _, network := range []string{"udp", "tcp"} {
			if got := given(lookup(t, c, network, ns, query)); !slices.Equal(got, []string{"192.0.2.9"}) {
				t.Errorf("by %s from %v: %v", network, ns, got)
			}
		}
	}
	long := question(t, "long.test", dnsmessage.TypeA)
	if m := lookup(t, c, "udp", nameserver4, long); !m.Truncated {
		t.Error("a truncated answer did not come as it was")
	}
	if m := lookup(t, c, "tcp", nameserver4, long); m.Truncated || len(m.Answers) != 1 {
		t.Error("no full answer by TCP")
	}
}

func TestNamesOfTheHostsFile(t *testing.T) {
	needHost(t)
	server := resolver(t, func(_ string, query []byte) []byte { return respond(query, dnsmessage.RCodeNameError, false) })
	hosts := filepath.Join(t.TempDir(), "hosts")
	write(t, hosts, "192.0.2.5 Files.Test alias # remark\n2001:db8::5 files.test\n127.0.1.1 myself\n")
	c := network(t, func(o *Options) { o.DNS, o.Hosts = []netip.AddrPort{server}, hosts })
	for _, test := range []struct {
		name string
		kind dnsmessage.Type
		code dnsmessage.RCode
		want []string
	}{
		{"files.test", dnsmessage.TypeA, 0, []string{"192.0.2.5"}},
		{"FILES.test", dnsmessage.TypeAAAA, 0, []string{"2001:db8::5"}},
		{"alias", dnsmessage.TypeA, 0, []string{"192.0.2.5"}},
		{"alias", dnsmessage.TypeAAAA, 0, nil}, // there, but without one
		{"files.test", dnsmessage.TypeMX, dnsmessage.RCodeNameError, nil},
		{"myself", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"elsewhere.test", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
	} {
		m := lookup(t, c, "udp", nameserver4, question(t, test.name, test.kind))
		if m.RCode != test.code || !slices.Equal(given(m), test.want) {
			t.Errorf("%s %v: %v %v, want %v %v", test.name, test.kind, m.RCode, given(m), test.code, test.want)
		}
	}
}

func TestResolvConfIsFollowed(t *testing.T) {
	needHost(t)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	// Port 53 of a loopback address each, as systemd-resolved has 127.0.0.53.
	for ip, says := range map[string]string{"127.0.0.53": "192.0.2.53", "127.0.0.54": "192.0.2.54"} {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at4(ip, dnsPort)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			for b := make([]byte, 512); ; {
				n, from, err := conn.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				_, _ = conn.WriteToUDPAddrPort(respond(b[:n], 0, false, record("name.test", says)), from)
			}
		}()
	}
	write(t, conf, "nameserver 127.0.0.53\n")
	c := network(t, func(o *Options) { o.ResolvConf, o.Hosts = conf, os.DevNull })
	query := question(t, "name.test", dnsmessage.TypeA)
	if got := given(lookup(t, c, "udp", nameserver4, query)); !slices.Equal(got, []string{"192.0.2.53"}) {
		t.Fatalf("at first: %v", got)
	}
	// As NetworkManager does it: a new file in its place.
	write(t, conf+".new", "nameserver 127.0.0.54\n")
	if err := os.Rename(conf+".new", conf); err != nil {
		t.Fatal(err)
	}
	time.Sleep(statTime + 50*time.Millisecond)
	if got := given(lookup(t, c, "udp", nameserver4, query)); !slices.Equal(got, []string{"192.0.2.54"}) {
		t.Errorf("after the change: %v", got)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// asked is a Policy that remembers, and refuses what it is told to.
type asked struct {
	mu       sync.Mutex
	refuse   func(Connect) bool
	connects []Connect
	names    map[string][]netip.Addr
}

func (a *asked) Connect(c Connect) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connects = append(a.connects, c)
	return a.refuse == nil || !a.refuse(c)
}

func (a *asked) seen() []Connect {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.connects)
}

func (a *asked) Resolve(name string) bool { return !strings.HasSuffix(name, ".secret") }

func (a *asked) Resolved(name string, addrs []netip.Addr, ttl time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names == nil {
		a.names = map[string][]netip.Addr{}
	}
	a.names[name] = append(a.names[name], addrs...)
}

func TestRelayTriesTheNextResolver(t *testing.T) {
	good := resolver(t, func(_ string, q []byte) []byte { return respond(q, 0, false, record("name.test", "192.0.2.9")) })
	silent := resolver(t, func(string, []byte) []byte { return nil })
	ill := resolver(t, func(_ string, q []byte) []byte { return respond(q, dnsmessage.RCodeServerFailure, false) })
	liar := resolver(t, func(_ string, q []byte) []byte {
		r := respond(q, 0, false, record("name.test", "192.0.2.66"))
		r[0]++ // another's number
		return r
	})
	closed := netip.AddrPortFrom(loopback4, 1)
	query := question(t, "name.test", dnsmessage.TypeA)
	for _, test := range []struct {
		name    string
		servers []netip.AddrPort
		code    dnsmessage.RCode
	}{
		{"one", []netip.AddrPort{good}, 0},
		{"nobody listens", []netip.AddrPort{closed, good}, 0},
		{"no answer", []netip.AddrPort{silent, good}, 0},
		{"an answer to something else", []netip.AddrPort{liar, good}, 0},
		{"one in trouble", []netip.AddrPort{ill, good}, 0},
		{"all in trouble", []netip.AddrPort{ill, closed}, dnsmessage.RCodeServerFailure},
		{"none", []netip.AddrPort{closed}, dnsmessage.RCodeServerFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRelay(Options{DNS: test.servers, Hosts: os.DevNull})
			r.patience = 200 * time.Millisecond
			var m dnsmessage.Message
			if err := m.Unpack(r.answer(context.Background(), client{policy: permitAll{}}, "udp", query)); err != nil || m.RCode != test.code {
				t.Errorf("%v %v, want %v", m.RCode, err, test.code)
			}
			if test.code == 0 && !slices.Equal(given(m), []string{"192.0.2.9"}) {
				t.Errorf("given %v", given(m))
			}
		})
	}
}

func TestRelayTellsThePolicy(t *testing.T) {
	server := resolver(t, func(_ string, q []byte) []byte {
		return respond(q, 0, false, record("www.test", "host.test"), record("other.test", "203.0.113.6"),
			record("host.test", "192.0.2.9"), record("host.test", "2001:db8::9"))
	})
	policy := &asked{}
	r := newRelay(Options{DNS: []netip.AddrPort{server}, Hosts: os.DevNull})
	r.answer(context.Background(), client{policy: policy}, "udp", question(t, "WWW.test", dnsmessage.TypeA))
	want := []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
	if !slices.Equal(policy.names["www.test"], want) || len(policy.names) != 1 {
		t.Errorf("told %v, want www.test to be %v", policy.names, want)
	}
	var m dnsmessage.Message
	if err := m.Unpack(r.answer(context.Background(), client{policy: policy}, "udp", question(t, "a.secret", dnsmessage.TypeA))); err != nil || m.RCode != dnsmessage.RCodeRefused {
		t.Errorf("a name that the policy refuses: %v %v", m.RCode, err)
	}
}

func TestRelayIgnoresWhatIsNoQuestion(t *testing.T) {
	r := newRelay(Options{DNS: []netip.AddrPort{netip.AddrPortFrom(loopback4, 1)}, Hosts: os.DevNull})
	q := question(t, "name.test", dnsmessage.TypeA)
	for name, b := range map[string][]byte{
		"empty": {}, "short": q[:11], "cut off": q[:len(q)-1], "a response": respond(q, 0, false),
		"two questions": append(append([]byte{0, 0, 0, 0, 0, 2}, q[6:]...), q[12:]...),
	} {
		if got := r.answer(context.Background(), client{policy: permitAll{}}, "udp", b); got != nil {
			t.Errorf("%s: answered % x", name, got)
		}
	}
}

// Whatever a resolver or a container sends, the parsers come to an end.
func FuzzMessages(f *testing.F) {
	q := question(f, "name.test", dnsmessage.TypeA)
	f.Add(q, q)
	f.Add(respond(q, 0, false, record("name.test", "host.test"), record("host.test", "192.0.2.9")), q)
	f.Add(respond(q, 0, false, record("name.test", "name.test")), q)
	f.Fuzz(func(t *testing.T, response, query []byte) {
		head, asked, ok := parseQuestion(query)
		answers(response, query)
		addressesIn(response, "name.test")
		if ok {
			reply(head, asked, 0, []netip.Addr{hostIP, hostIP6})
		}
	})
}
