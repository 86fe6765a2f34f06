package builtin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The network of the tests, and its members: the first is a.
var (
	switchNet4 = netip.MustParsePrefix("10.89.0.0/24")
	switchNet6 = netip.MustParsePrefix("fd89::/64")
	members    = map[string]Member{
		"a": {MAC: "\x02\x42\x0a\x59\x00\x02", IP4: netip.MustParseAddr("10.89.0.2"), IP6: netip.MustParseAddr("fd89::2")},
		"b": {MAC: "\x02\x42\x0a\x59\x00\x03", IP4: netip.MustParseAddr("10.89.0.3"), IP6: netip.MustParseAddr("fd89::3")},
		"c": {MAC: "\x02\x42\x0a\x59\x00\x04", IP4: netip.MustParseAddr("10.89.0.4")},
	}
)

// names is a Directory: b is db to everyone.
type names struct{}

func (names) Lookup(asker netip.Addr, name string) ([]netip.Addr, bool) {
	if name != "db" || asker != members["a"].IP4 {
		return nil, false
	}
	return []netip.Addr{members["b"].IP4, members["b"].IP6}, true
}

func (names) NameOf(ip netip.Addr) string {
	if ip == members["b"].IP4 || ip == members["b"].IP6 {
		return "db"
	}
	return ""
}

// newSwitch makes one that ends with the test.
func newSwitch(t testing.TB, change func(*SwitchOptions)) *Switch {
	t.Helper()
	needHost(t)
	before := runtime.NumGoroutine()
	o := SwitchOptions{Net4: switchNet4, Gateway4: at(switchNet4, 1), Net6: switchNet6, Gateway6: at(switchNet6, 1), Directory: names{}}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w, err := NewSwitch(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- w.Run() }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Run: %v", err)
		}
		noneLeft(t, before+3) // the containers' own threads, which end with what is cleaned up next
	})
	return w
}

// plug makes a container and takes it in.
func plug(t testing.TB, w *Switch, m Member) *container {
	t.Helper()
	c := newContainer(t)
	i := Interface{Name: "eth0", MTU: DefaultMTU, MAC: m.MAC, Address4: netip.PrefixFrom(m.IP4, 24), Gateway4: w.gateway4}
	if m.IP6.IsValid() {
		i.Address6, i.Gateway6 = netip.PrefixFrom(m.IP6, 64), w.gateway6
	}
	tap, err := OpenInterface(int(c.netns.Fd()), i)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Plug(m, tap); err != nil {
		t.Fatal(err)
	}
	return c
}

// serveIn listens in a container; serve is called for each connection.
func (c *container) serveIn(t testing.TB, at netip.AddrPort, serve func(net.Conn)) {
	t.Helper()
	var l net.Listener
	var err error
	c.do(func() { l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
}

func TestMembersReachEachOther(t *testing.T) {
	w := newSwitch(t, nil)
	a, b := plug(t, w, members["a"]), plug(t, w, members["b"])
	payload := make([]byte, 20<<20) // in frames of 64 KiB that nobody cuts
	_, _ = rand.Read(payload)
	for _, ip := range []netip.Addr{members["b"].IP4, members["b"].IP6} {
		from := make(chan string, 1)
		b.serveIn(t, netip.AddrPortFrom(ip, 80), func(conn net.Conn) {
			from <- conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().String()
			_, _ = conn.Write(payload)
		})
		conn := a.mustDial("tcp", netip.AddrPortFrom(ip, 80))
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%v: %d bytes of %d, %v", ip, len(got), len(payload), err)
		}
		if who := <-from; who != members["a"].IP4.String() && who != members["a"].IP6.String() {
			t.Errorf("%v: the caller is %s", ip, who)
		}
	}
	if conn, err := a.dial("tcp", netip.AddrPortFrom(members["b"].IP4, 81)); err == nil {
		_ = conn.Close()
		t.Error("connected to a port on which nobody listens")
	}
}

func TestMembersReachTheHost(t *testing.T) {
	w := newSwitch(t, nil)
	a, b := plug(t, w, members["a"]), plug(t, w, members["b"])
	for _, c := range []*container{a, b} {
		for _, ip := range []netip.Addr{hostIP, hostIP6} {
			to := listen(t, ip, func(conn *net.TCPConn) { _, _ = io.WriteString(conn, "host") })
			conn := c.mustDial("tcp", to)
			if got, err := io.ReadAll(conn); string(got) != "host" {
				t.Errorf("%v: %q, %v", ip, got, err)
			}
		}
	}
}

func TestNamesOfMembers(t *testing.T) {
	w := newSwitch(t, nil)
	a, b := plug(t, w, members["a"]), plug(t, w, members["b"])
	ask := func(c *container, name string, kind dnsmessage.Type) (m dnsmessage.Message) {
		t.Helper()
		conn := c.mustDial("udp", netip.AddrPortFrom(w.gateway4, dnsPort))
		if _, err := conn.Write(question(t, name, kind)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4096)
		n, err := conn.Read(answer)
		if err == nil {
			err = m.Unpack(answer[:n])
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return m
	}
	if got := given(ask(a, "DB", dnsmessage.TypeA)); !slices.Equal(got, []string{"10.89.0.3"}) {
		t.Errorf("A: %v", got)
	}
	if got := given(ask(a, "db", dnsmessage.TypeAAAA)); !slices.Equal(got, []string{"fd89::3"}) {
		t.Errorf("AAAA: %v", got)
	}
	if m := ask(a, "db", dnsmessage.TypeMX); m.RCode != dnsmessage.RCodeSuccess || len(m.Answers) != 0 {
		t.Errorf("MX: %v with %d answers", m.RCode, len(m.Answers))
	}
	for _, name := range []string{"3.0.89.10.in-addr.arpa", "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.8.d.f.ip6.arpa"} {
		m := ask(b, name, dnsmessage.TypePTR)
		if len(m.Answers) != 1 || m.Answers[0].Body.(*dnsmessage.PTRResource).PTR.String() != "db." {
			t.Errorf("%s: %v", name, m.Answers)
		}
	}
}

func TestInternalLeadsNowhere(t *testing.T) {
	w := newSwitch(t, func(o *SwitchOptions) { o.Internal = true })
	a, b := plug(t, w, members["a"]), plug(t, w, members["b"])
	to := listen(t, hostIP, func(*net.TCPConn) { t.Error("the host was reached") })
	if _, err := a.dial("tcp", to); !isErrno(err, unix.EHOSTUNREACH, unix.EACCES) {
		t.Errorf("to the host: %v", err)
	}
	b.serveIn(t, netip.AddrPortFrom(members["b"].IP4, 80), func(net.Conn) {})
	_ = a.mustDial("tcp", netip.AddrPortFrom(members["b"].IP4, 80)).Close()
}

// A member that gives itself another's address, as root in its namespace may, neither
// takes its place nor speaks in its name.
func TestNobodyTakesAnothersPlace(t *testing.T) {
	w := newSwitch(t, nil)
	a, b, c := plug(t, w, members["a"]), plug(t, w, members["b"]), plug(t, w, members["c"])
	var err error
	c.do(func() {
		var index int
		if index, err = interfaceIndex("eth0"); err == nil {
			err = request(addressMessage(index, members["b"].IP4, 24))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(members["b"].IP4, 80)
	c.serveIn(t, at, func(conn net.Conn) { _, _ = io.WriteString(conn, "c") })
	b.serveIn(t, at, func(conn net.Conn) { _, _ = io.WriteString(conn, "b") })
	for range 20 {
		conn := a.mustDial("tcp", at)
		if got, err := io.ReadAll(conn); string(got) != "b" || err != nil {
			t.Fatalf("%q answered, %v", got, err)
		}
	}
	// Nor with b's hardware address.
	c.do(func() {
		index, _ := interfaceIndex("eth0")
		err = request(linkMessage(index, 0, members["b"].MAC))
	})
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := c.dialFor("tcp", netip.AddrPortFrom(members["a"].IP4, 80), 300*time.Millisecond); err == nil || isErrno(err, unix.ECONNREFUSED) {
		t.Errorf("%v: an answer came: %v", conn, err)
	}
	conn := a.mustDial("tcp", at)
	if got, err := io.ReadAll(conn); string(got) != "b" || err != nil {
		t.Errorf("%q answered, %v", got, err)
	}
}

func TestUnplug(t *testing.T) {
	w := newSwitch(t, nil)
	a, b := plug(t, w, members["a"]), plug(t, w, members["b"])
	held := make(chan error, 1)
	to := listen(t, hostIP, func(conn *net.TCPConn) {
		_, err := conn.Read(make([]byte, 1))
		held <- err
	})
	_ = b.mustDial("tcp", to)
	w.Unplug(members["b"].MAC)
	select {
	case err := <-held:
		if err == nil {
			t.Error("a byte came")
		}
	case <-time.After(5 * time.Second):
		t.Error("its connection to the host is still there")
	}
	again := plug(t, w, members["b"])
	again.serveIn(t, netip.AddrPortFrom(members["b"].IP4, 80), func(conn net.Conn) { _, _ = io.WriteString(conn, "again") })
	conn := a.mustDial("tcp", netip.AddrPortFrom(members["b"].IP4, 80))
	if got, err := io.ReadAll(conn); string(got) != "again" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	tap, err := OpenInterface(int(newContainer(t).netns.Fd()), Interface{Name: "eth0", MTU: 1500})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Plug(members["a"], tap); err == nil {
		t.Error("an address was given twice")
	}
}

func TestGenuineFrames(t *testing.T) {
	m, other := members["a"], members["b"]
	ethernet := func(from string, kind tcpip.NetworkProtocolNumber) header.Ethernet {
		eth := make(header.Ethernet, header.EthernetMinimumSize)
		eth.Encode(&header.EthernetFields{SrcAddr: tcpip.LinkAddress(from), DstAddr: ourMAC, Type: kind})
		return eth
	}
	arp := func(mac string, ip netip.Addr) []byte {
		b := make([]byte, arpLen)
		binary.BigEndian.PutUint16(b[arpOp:], arpRequest)
		copy(b[arpSenderMAC:], mac)
		copy(b[arpSenderIP:], ip.AsSlice())
		return b
	}
	packet4 := func(from netip.Addr) []byte {
		b := make([]byte, header.IPv4MinimumSize)
		copy(b[12:], from.AsSlice())
		return b
	}
	packet6 := func(from netip.Addr, next byte, body ...byte) []byte {
		b := make([]byte, header.IPv6MinimumSize)
		b[6] = next
		copy(b[8:], from.AsSlice())
		return append(b, body...)
	}
	const icmp = byte(header.ICMPv6ProtocolNumber)
	advert := func(about netip.Addr) []byte {
		return append([]byte{byte(header.ICMPv6NeighborAdvert), 0, 0, 0, 0, 0, 0, 0}, about.AsSlice()...)
	}
	local := m.linkLocal()
	for name, test := range map[string]struct {
		eth    header.Ethernet
		packet []byte
		want   bool
	}{
		"IPv4":                       {ethernet(m.MAC, header.IPv4ProtocolNumber), packet4(m.IP4), true},
		"IPv4 of another":            {ethernet(m.MAC, header.IPv4ProtocolNumber), packet4(other.IP4), false},
		"IPv4 from another's card":   {ethernet(other.MAC, header.IPv4ProtocolNumber), packet4(m.IP4), false},
		"IPv4 cut off":               {ethernet(m.MAC, header.IPv4ProtocolNumber), packet4(m.IP4)[:19], false},
		"IPv6":                       {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(m.IP6, 6), true},
		"IPv6, link-local":           {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(local, 6), true},
		"IPv6 of another":            {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(other.IP6, 6), false},
		"another's link-local":       {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(other.linkLocal(), 6), false},
		"IPv6 with options":          {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(m.IP6, 0), false},
		"advertisement":              {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(m.IP6, icmp, advert(m.IP6)...), true},
		"advertisement of another's": {ethernet(m.MAC, header.IPv6ProtocolNumber), packet6(m.IP6, icmp, advert(other.IP6)...), false},
		"ARP":                        {ethernet(m.MAC, header.ARPProtocolNumber), arp(m.MAC, m.IP4), true},
		"ARP for another":            {ethernet(m.MAC, header.ARPProtocolNumber), arp(m.MAC, other.IP4), false},
		"ARP with another's card":    {ethernet(m.MAC, header.ARPProtocolNumber), arp(other.MAC, m.IP4), false},
		"ARP cut off":                {ethernet(m.MAC, header.ARPProtocolNumber), arp(m.MAC, m.IP4)[:27], false},
		"VLAN":                       {ethernet(m.MAC, 0x8100), packet4(m.IP4), false},
	} {
		if got := m.sends(test.eth, test.packet); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whatever a member sends, it is looked at within its bounds.
func FuzzGenuine(f *testing.F) {
	f.Add([]byte("\x52\x55\x0a\x00\x02\x02\x02\x42\x0a\x59\x00\x02\x08\x06"), make([]byte, arpLen))
	f.Add([]byte("\x52\x55\x0a\x00\x02\x02\x02\x42\x0a\x59\x00\x02\x86\xdd"), make([]byte, ndLen))
	f.Fuzz(func(t *testing.T, head, packet []byte) {
		if len(head) < header.EthernetMinimumSize {
			return
		}
		if m := members["a"]; m.sends(head, packet) {
			_, _ = wanted(head, packet)
		}
	})
}
