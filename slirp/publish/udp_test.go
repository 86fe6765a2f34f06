package publish

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestUDPSource(t *testing.T) {
	c := newContainer(t)
	c.listenUDP(53)
	c.publish("5353:53/udp")
	for _, v := range []struct {
		name             string
		from, to, wanted netip.Addr
	}{
		{"IPv4", clientIP4, hostIP4, clientIP4},
		{"IPv6", clientIP6, hostIP6, clientIP6},
		{"the host's own address", hostIP4, hostIP4, hostIP4},
		{"the client's address on the host", clientIP4, clientIP4, clientIP4},
		{"IPv4 loopback", lo4, lo4, gateway4},
		{"IPv6 loopback", lo6, lo6, gateway6},
	} {
		t.Run(v.name, func(t *testing.T) {
			// A connected socket takes answers from the address that it asked alone.
			conn := dialHost(t, UDP, v.from, v.to, 5353)
			want := netip.AddrPortFrom(v.wanted, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()).String()
			for range 3 {
				if peer, echo := exchange(t, conn, "word"); peer != want || echo != "word" {
					t.Errorf("the program sees %s and says %q, want %s", peer, echo, want)
				}
			}
		})
	}
}

func TestUDPSourceOfAContainerWithoutIPv6(t *testing.T) {
	c := newContainerWith(t, false)
	c.listenUDP(53)
	c.publish("5353:53/udp")
	peer, _ := exchange(t, dialHost(t, UDP, clientIP6, hostIP6, 5353), "word")
	if netip.MustParseAddrPort(peer).Addr() != gateway4 {
		t.Errorf("the program sees %s, want %s", peer, gateway4)
	}
}

func TestUDPLargestDatagram(t *testing.T) {
	c := newContainer(t)
	c.listenUDP(53)
	c.publish("5353:53/udp")
	for _, v := range [][2]netip.Addr{{clientIP4, hostIP4}, {clientIP6, hostIP6}} {
		conn := dialHost(t, UDP, v[0], v[1], 5353)
		const largest = 65507
		data := bytes.Repeat([]byte("x"), largest)
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, maxDatagram)
		if n, err := conn.Read(buffer); err != nil || !bytes.Equal(buffer[:n], data) {
			t.Errorf("%d bytes came back, %v", n, err)
		}
		if _, err := conn.Write(nil); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(buffer); err != nil || !strings.HasSuffix(string(buffer[:n]), "\n") {
			t.Errorf("the empty datagram: %q, %v", buffer[:n], err)
		}
	}
}

// A server that comes late, or again, is reached by the clients there are.
func TestUDPServerComesLater(t *testing.T) {
	c := newContainer(t)
	c.publish("5353:53/udp")
	conn := dialHost(t, UDP, clientIP4, hostIP4, 5353)
	for range 3 {
		_, err := conn.Write([]byte("nobody hears"))
		check(t, err)
		time.Sleep(10 * time.Millisecond)
	}
	c.listenUDP(53)
	if peer, _ := exchange(t, conn, "word"); peer != conn.LocalAddr().String() {
		t.Errorf("the program sees %s", peer)
	}
}

// fakeClock moves when a test says so.
type fakeClock struct {
	mu    sync.Mutex
	time  time.Time
	calls map[*func()]time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{time: time.Unix(1e9, 0), calls: map[*func()]time.Time{}}
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *fakeClock) after(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := &f
	c.calls[key] = c.time.Add(d)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.calls[key]
		delete(c.calls, key)
		return waiting
	}
}

// pass lets time go by, by the second.
func (c *fakeClock) pass(d time.Duration) {
	for range int(d / time.Second) {
		c.mu.Lock()
		c.time = c.time.Add(time.Second)
		var due []func()
		for key, at := range c.calls {
			if !at.After(c.time) {
				due = append(due, *key)
				delete(c.calls, key)
			}
		}
		c.mu.Unlock()
		for _, f := range due {
			f()
		}
	}
}

func (c *fakeClock) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

// newUDPServer is a Serve of one UDP port whose flows the test can see.
func newUDPServer(t *testing.T, c *container, clock clock, limit int) (*udpPort, Bound) {
	t.Helper()
	mappings, err := Parse([]string{"0.0.0.0:5353:53/udp"})
	check(t, err)
	bound, files, err := Listen(t.Context(), mappings, "/proc")
	check(t, err)
	o := c.options()
	o.Bound, o.Listeners, o.clock, o.Proc = bound, files, clock, "/proc"
	s := &server{Options: o, space: c.space, shown: map[int]bool{}, reported: reports{to: func(err error) { t.Error(err) }}}
	_, ports, err := s.openPorts()
	check(t, err)
	link, err := c.space.netlink()
	check(t, err)
	s.prepare(link)
	ctx, cancel := context.WithCancel(context.Background())
	p := ports[0]
	p.limit = limit
	s.startUDP(ctx, ports)
	t.Cleanup(func() { cancel(); closePorts(nil, ports); s.work.Wait(); link.close() })
	return p, bound[0]
}

func (p *udpPort) clients() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]bool{}
	for key := range p.flows {
		out[key.client.String()] = true
	}
	return out
}

func TestUDPFlowsExpire(t *testing.T) {
	c := newContainer(t)
	c.listenUDP(53)
	clock := newFakeClock()
	p, _ := newUDPServer(t, c, clock, maxFlows)
	conn := dialHost(t, UDP, clientIP4, hostIP4, 5353)
	settled(t, func() {
		exchange(t, conn, "word")
		clock.pass(idleAnswered - sweepEvery)
		if len(p.clients()) != 1 {
			t.Error("an answered flow is forgotten early")
		}
		exchange(t, conn, "word")
		clock.pass(idleAnswered - sweepEvery)
		if len(p.clients()) != 1 {
			t.Error("a flow that is used is forgotten")
		}
		clock.pass(2 * sweepEvery)
		if n := len(p.clients()); n != 0 {
			t.Errorf("%d flows after %v", n, idleAnswered)
		}
	})
	if n := clock.waiting(); n != 0 {
		t.Errorf("%d timers without a flow", n)
	}
	if n := len(p.routes.clients); n != 0 {
		t.Errorf("%d clients have a route still", n)
	}
	exchange(t, conn, "word") // and it can begin again
}

func TestUDPUnansweredFlowsExpireSooner(t *testing.T) {
	c := newContainer(t)
	clock := newFakeClock()
	p, _ := newUDPServer(t, c, clock, maxFlows)
	conn := dialHost(t, UDP, clientIP4, hostIP4, 5353)
	_, err := conn.Write([]byte("word"))
	check(t, err)
	until(t, func() bool { return len(p.clients()) == 1 })
	clock.pass(idleUnanswered + sweepEvery)
	if n := len(p.clients()); n != 0 {
		t.Errorf("%d flows after %v", n, idleUnanswered)
	}
}

func TestUDPFlowsAreBounded(t *testing.T) {
	c := newContainer(t)
	clock := newFakeClock()
	const limit = 8
	p, _ := newUDPServer(t, c, clock, limit)
	var conns []net.Conn
	for i := range 2 * limit {
		conn := dialHost(t, UDP, clientIP4, hostIP4, 5353)
		conns = append(conns, conn)
		_, err := conn.Write([]byte("word"))
		check(t, err)
		until(t, func() bool { return p.clients()[conn.LocalAddr().String()] })
		if n := len(p.clients()); n > limit {
			t.Fatalf("%d flows after %d clients", n, i+1)
		}
		clock.pass(time.Second)
	}
	for _, conn := range conns[limit:] {
		if !p.clients()[conn.LocalAddr().String()] {
			t.Errorf("client %v is gone, the oldest were to go", conn.LocalAddr())
		}
	}
}

func TestUDPAnsweredFlowsStayLonger(t *testing.T) {
	c := newContainer(t)
	c.listenUDP(53)
	clock := newFakeClock()
	p, _ := newUDPServer(t, c, clock, maxFlows)
	conn := dialHost(t, UDP, clientIP4, hostIP4, 5353)
	exchange(t, conn, "word")
	answered := &flow{port: p}
	answered.answered.Store(true)
	silent := &flow{port: p}
	silent.used.Store(1)
	if answered.lessWorthy(silent) || !silent.lessWorthy(answered) {
		t.Error("a flow that was answered goes before one that was not")
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to it")
		}
	}
}
