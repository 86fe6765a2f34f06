package builtin

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func TestAddressesOf(t *testing.T) {
	for _, test := range []struct {
		net4, net6                     string
		gateway, nameserver, container string
		container6                     string
		fails                          bool
	}{
		{"", "", "10.0.2.2", "10.0.2.3", "10.0.2.100", "", false},
		{"192.168.7.9/24", "fd00::/64", "192.168.7.2", "192.168.7.3", "192.168.7.100", "fd00::100", false},
		{"10.1.2.128/25", "2001:db8:7::/48", "10.1.2.130", "10.1.2.131", "10.1.2.228", "2001:db8:7::100", false},
		{"10.1.2.0/26", "", "", "", "", "", true},
		{"fd00::/64", "", "", "", "", "", true},
		{"", "10.0.2.0/24", "", "", "", "", true},
		{"", "fd00::/120", "", "", "", "", true},
	} {
		a, err := addressesOf(prefix(test.net4), prefix(test.net6))
		if (err != nil) != test.fails {
			t.Errorf("%q %q: %v", test.net4, test.net6, err)
		}
		if err != nil {
			continue
		}
		got := []string{a.gateway4.String(), a.nameserver4.String(), a.container4.String()}
		if want := []string{test.gateway, test.nameserver, test.container}; !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", test.net4, got, want)
		}
		if test.container6 != "" && a.container6.String() != test.container6 {
			t.Errorf("%q: %v, want %v", test.net6, a.container6, test.container6)
		}
	}
}

func prefix(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func TestGlobal(t *testing.T) {
	for ip, want := range map[string]bool{
		"192.0.2.1": true, "10.0.0.1": true, "169.254.169.254": true, "2001:db8::1": true, "fd00:1::1": true,
		"127.0.0.1": false, "127.255.0.1": false, "::1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false, "fe80::1": false,
		"::ffff:127.0.0.1": false, "::ffff:192.0.2.1": false, "::127.0.0.1": false, "::2": false,
	} {
		if got := global(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if global(netip.Addr{}) {
		t.Error("no address at all")
	}
}

func TestGuard(t *testing.T) {
	needHost(t)
	a, err := addressesOf(DefaultNet4, DefaultNet6)
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{false, true} {
		g, err := newGuard(a, open)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		gateway := refused
		if open {
			gateway = dial
		}
		for ip, want := range map[string]verdict{
			"10.0.2.2": gateway, "fd00::2": gateway, "10.0.2.3": refused, "fd00::3": refused,
			"10.0.2.100": unreachable, "10.0.2.255": unreachable, "fd00::100": unreachable,
			"127.0.0.1": unreachable, "198.51.100.1": unreachable, "192.0.2.255": unreachable,
			"192.0.2.1": dial, "192.0.2.7": dial, "2001:db8::1": dial, "203.0.113.1": dial,
		} {
			if _, got := g.host(netip.MustParseAddr(ip)); got != want {
				t.Errorf("%s, loopback %v: %v, want %v", ip, open, got, want)
			}
		}
	}
}

func TestParseResolvers(t *testing.T) {
	for file, want := range map[string][]string{
		"":                                     {"127.0.0.1:53"},
		"nameserver 127.0.0.53\noptions edns0": {"127.0.0.53:53"},
		"# nameserver 192.0.2.1\nnameserver\tfe80::1%eth0\nnameserver x\nnameserver ::1 # mine":  {"[fe80::1%eth0]:53", "[::1]:53"},
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4": {"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"},
	} {
		var got []string
		for _, s := range parseResolvers([]byte(file)) {
			got = append(got, s.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", file, got, want)
		}
	}
}

func TestParseHosts(t *testing.T) {
	hosts := parseHosts([]byte("127.0.0.1 localhost me\n::1 localhost\n192.0.2.1 A.b a.B c.\nnonsense x\n192.0.2.2\n::ffff:192.0.2.3 mapped\n#192.0.2.4 d\n"))
	for name, want := range map[string]string{"localhost": "[127.0.0.1 ::1]", "a.b": "[192.0.2.1]", "c": "[192.0.2.1]"} {
		if got := addrsString(hosts[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if len(hosts) != 3 {
		t.Errorf("%d names: %v", len(hosts), hosts)
	}
}

func addrsString(addrs []netip.Addr) string {
	s := "["
	for i, ip := range addrs {
		if i > 0 {
			s += " "
		}
		s += ip.String()
	}
	return s + "]"
}

// A clock that stands still unless told.
type clock struct{ time.Time }

func (c *clock) now() time.Time          { return c.Time }
func (c *clock) advance(d time.Duration) { c.Time = c.Add(d) }

func TestWatchedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	c := &clock{time.Unix(1000, 0)}
	reads := 0
	w := watched[string]{path: path, now: c.now, parse: func(b []byte) string { reads++; return string(b) }}
	if w.get() != "" || reads != 1 {
		t.Errorf("a missing file: %q after %d reads", w.value, reads)
	}
	write(t, path, "one")
	if w.get() != "" {
		t.Error("looked again too soon")
	}
	c.advance(statTime)
	if w.get() != "one" {
		t.Errorf("%q", w.value)
	}
	c.advance(statTime)
	if w.get(); reads != 2 {
		t.Error("read without need")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.advance(statTime)
	if w.get() != "" {
		t.Errorf("gone, but %q", w.value)
	}
}

func testFlow(t *testing.T, port uint16) *flow {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return &flow{key: flowKey{UDP, at4("10.0.2.100", port), at4("192.0.2.1", 53)}, file: file}
}

func TestFlowTable(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	table := newFlowTable(c.now)
	table.max = 3
	var flows []*flow
	for i := range 3 {
		f := testFlow(t, uint16(i))
		flows = append(flows, f)
		table.add(f)
		c.advance(time.Second)
	}
	if table.get(flows[0].key) != flows[0] {
		t.Fatal("not found")
	}
	// The first was used last, so the second makes room.
	table.add(testFlow(t, 3))
	if table.get(flows[1].key) != nil || table.get(flows[0].key) == nil || len(table.flows) != 3 {
		t.Error("the wrong one made room")
	}
	if err := flows[1].file.Close(); err == nil {
		t.Error("it was not closed")
	}
	c.advance(flowIdle - time.Second)
	table.use(flows[2])
	table.use(flows[1]) // closed already: nothing comes of it
	c.advance(time.Second + 1)
	table.expire()
	if len(table.flows) != 1 || table.get(flows[2].key) == nil {
		t.Errorf("%d flows are left, want the one in use", len(table.flows))
	}
	table.closeAll()
	if len(table.flows) != 0 || table.order.Len() != 0 || table.add(testFlow(t, 4)) {
		t.Error("not closed")
	}
}

func TestBufferSize(t *testing.T) {
	for open, want := range map[int]int64{0: bufferMax, 1: bufferMax, 64: 1 << 20, maxTCP: bufferMin} {
		if got := bufferSize(open); got != want {
			t.Errorf("%d open: %d, want %d", open, got, want)
		}
	}
}

func TestRest(t *testing.T) {
	var r rest
	for i, step := range []struct {
		moved uint64
		want  bool
	}{{10, false}, {busyFrames + 1, false}, {busyFrames * 9, false}, {3, true}, {3, false}, {busyFrames, true}, {0, false}} {
		if got := r.begins(r.last + step.moved); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

func TestTCPAt(t *testing.T) {
	tcp := segment(1, 0, 0, 0, nil)
	fragment := packet4(header.TCPProtocolNumber, "192.0.2.1", tcp)
	fragment[header.EthernetMinimumSize+7] = 1
	for name, test := range map[string]struct {
		packet []byte
		want   int
	}{
		"IPv4":           {packet4(header.TCPProtocolNumber, "192.0.2.1", tcp), 20},
		"IPv6":           {packet6(header.TCPProtocolNumber, "2001:db8::1", tcp), 40},
		"a fragment":     {fragment, 0},
		"UDP":            {packet4(header.UDPProtocolNumber, "192.0.2.1", datagram(nil)), 0},
		"UDP over IPv6":  {packet6(header.UDPProtocolNumber, "2001:db8::1", datagram(nil)), 0},
		"nothing":        {make([]byte, 100), 0},
		"cut off":        {fragment[:header.EthernetMinimumSize+19], 0},
		"cut off, empty": {fragment[:header.EthernetMinimumSize], 0},
	} {
		if got := tcpAt(test.packet[header.EthernetMinimumSize:]); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
