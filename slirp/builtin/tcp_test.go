package builtin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noise is n bytes that look like nothing, and their hash.
func noise(n int) (io.Reader, hash.Hash) {
	sum := sha256.New()
	source := rand.NewChaCha8([32]byte{1})
	return io.TeeReader(io.LimitReader(source, int64(n)), sum), sum
}

const bulk = 24 << 20

func TestTCPKeepsEveryByte(t *testing.T) {
	for _, ip := range []netip.Addr{hostIP, hostIP6} {
		t.Run(ip.String(), func(t *testing.T) {
			got := make(chan []byte, 1)
			to := listen(t, ip, func(conn *net.TCPConn) {
				sum := sha256.New()
				_, _ = io.Copy(sum, conn)
				got <- sum.Sum(nil)
				source, _ := noise(bulk)
				_, _ = io.Copy(conn, source)
			})
			conn := network(t, nil).mustDial("tcp", to).(*net.TCPConn)
			source, want := noise(bulk)
			if _, err := io.Copy(conn, source); err != nil {
				t.Fatal(err)
			}
			// Half closed: the host answers only then.
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if up := <-got; !bytes.Equal(up, want.Sum(nil)) {
				t.Errorf("the host got other bytes than were sent")
			}
			down := sha256.New()
			if n, err := io.Copy(down, conn); n != bulk || err != nil {
				t.Fatalf("read %d bytes of %d: %v", n, bulk, err)
			}
			if !bytes.Equal(down.Sum(nil), want.Sum(nil)) {
				t.Errorf("the container got other bytes than were sent")
			}
		})
	}
}

func TestTCPBothWaysAtOnce(t *testing.T) {
	to := listen(t, hostIP, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	conn := network(t, nil).mustDial("tcp", to).(*net.TCPConn)
	source, want := noise(bulk)
	go func() { _, _ = io.Copy(conn, source); _ = conn.CloseWrite() }()
	got := sha256.New()
	if n, err := io.Copy(got, conn); n != bulk || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came back of %d (%v), or not the same", n, bulk, err)
	}
}

func TestHostClosesFirst(t *testing.T) {
	rest := make(chan []byte, 1)
	to := listen(t, hostIP, func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("bye"))
		_ = conn.CloseWrite()
		b, _ := io.ReadAll(conn)
		rest <- b
	})
	conn := network(t, nil).mustDial("tcp", to)
	if b, err := io.ReadAll(conn); string(b) != "bye" || err != nil {
		t.Fatalf("%q, %v", b, err)
	}
	// The other half is still open.
	if _, err := conn.Write([]byte("thanks")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if b := <-rest; string(b) != "thanks" {
		t.Errorf("the host got %q", b)
	}
}

// What waits for a host that reads slowly outlives the container's connection.
func TestSlowHostGetsEverything(t *testing.T) {
	const size = 3 << 20
	got := make(chan int, 1)
	to := listen(t, hostIP, func(conn *net.TCPConn) {
		_ = conn.SetReadBuffer(64 << 10)
		_ = conn.CloseWrite()
		total := 0
		for b := make([]byte, 64<<10); ; time.Sleep(time.Millisecond) {
			n, err := conn.Read(b)
			total += n
			if err != nil {
				got <- total
				return
			}
		}
	})
	conn := network(t, nil).mustDial("tcp", to).(*net.TCPConn)
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if n := <-got; n != size {
		t.Errorf("%d bytes of %d came", n, size)
	}
}

func TestResetsPassThrough(t *testing.T) {
	t.Run("from the host", func(t *testing.T) {
		to := listen(t, hostIP, func(conn *net.TCPConn) {
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.SetLinger(0)
		})
		conn := network(t, nil).mustDial("tcp", to)
		_, _ = conn.Write([]byte("x"))
		_, err := io.ReadAll(conn)
		if !isErrno(err, unix.ECONNRESET) {
			t.Errorf("read: %s, want a reset", describe(err))
		}
	})
	t.Run("from the container", func(t *testing.T) {
		got := make(chan error, 1)
		to := listen(t, hostIP, func(conn *net.TCPConn) {
			_, err := io.ReadAll(conn)
			got <- err
		})
		conn := network(t, nil).mustDial("tcp", to).(*net.TCPConn)
		_ = conn.SetLinger(0)
		_ = conn.Close()
		if err := <-got; !isErrno(err, unix.ECONNRESET) {
			t.Errorf("read: %s, want a reset", describe(err))
		}
	})
	// The half that is left waits for the host, and must learn of the reset.
	t.Run("from the container, half closed", func(t *testing.T) {
		got := make(chan error, 1)
		to := listen(t, hostIP, func(conn *net.TCPConn) {
			_, _ = io.ReadAll(conn)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			for range 100 {
				time.Sleep(20 * time.Millisecond)
				if tcpGone(conn) {
					got <- nil
					return
				}
			}
			got <- errors.New("still there")
		})
		conn := network(t, nil).mustDial("tcp", to).(*net.TCPConn)
		_ = conn.CloseWrite()
		time.Sleep(50 * time.Millisecond)
		_ = conn.SetLinger(0)
		_ = conn.Close()
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

// tcpGone says whether the other side has reset a connection.
func tcpGone(conn *net.TCPConn) (gone bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	_ = raw.Control(func(fd uintptr) {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		info, infoErr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		const tcpClose = 7
		gone = err != nil || code != 0 || infoErr != nil || info.State == tcpClose
	})
	return gone
}

func TestConnectTellsTheTruth(t *testing.T) {
	c := network(t, nil)
	for _, test := range []struct {
		name string
		to   netip.AddrPort
		want []error
	}{
		{"nobody listens", netip.AddrPortFrom(hostIP, 9), []error{unix.ECONNREFUSED}},
		{"nobody listens, IPv6", netip.AddrPortFrom(hostIP6, 9), []error{unix.ECONNREFUSED}},
		{"no route", at4("203.0.113.1", 80), []error{unix.EHOSTUNREACH}},
		{"no route, IPv6", at4("2001:db8:1::1", 80), []error{unix.EHOSTUNREACH}},
		{"multicast", at4("224.0.0.1", 80), []error{unix.ENETUNREACH, unix.EHOSTUNREACH}},
		{"a former class E", at4("240.0.0.1", 80), []error{unix.EHOSTUNREACH}},
		{"the host's on lo", netip.AddrPortFrom(insideIP, 80), []error{unix.EHOSTUNREACH}},
		{"a broadcast", at4("192.0.2.255", 80), []error{unix.EHOSTUNREACH, unix.EACCES}},
		{"the gateway", netip.AddrPortFrom(at(DefaultNet4, gatewayByte), 80), []error{unix.ECONNREFUSED}},
		{"the gateway, IPv6", netip.AddrPortFrom(at(DefaultNet6, gatewayByte), 80), []error{unix.ECONNREFUSED}},
		{"the nameserver's other ports", netip.AddrPortFrom(at(DefaultNet4, nameserverByte), 80), []error{unix.ECONNREFUSED}},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			_, err := c.dial("tcp", test.to)
			ok := false
			for _, want := range test.want {
				ok = ok || errors.Is(err, want)
			}
			if !ok {
				t.Errorf("connect %v: %s, want %v", test.to, describe(err), test.want)
			}
			if took := time.Since(began); took > 900*time.Millisecond {
				t.Errorf("the answer took %v", took)
			}
		})
	}
}

func TestConnectWaitsForTheHost(t *testing.T) {
	// host0 is a tun device that nobody reads: what is sent there is lost.
	_, err := network(t, nil).dialFor("tcp", at4("192.0.2.7", 80), 1500*time.Millisecond)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("connect: %s, want a time-out", describe(err))
	}
}

func TestHostLoopback(t *testing.T) {
	for _, test := range []struct{ gateway, listener netip.Addr }{
		{at(DefaultNet4, gatewayByte), loopback4},
		{at(DefaultNet6, gatewayByte), loopback6},
	} {
		needHost(t)
		tcpPort := listen(t, test.listener, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }).Port()
		udpAt, heard := echoUDP(t, test.listener)
		t.Run("closed "+test.gateway.String(), func(t *testing.T) {
			c := network(t, nil)
			if _, err := c.dial("tcp", netip.AddrPortFrom(test.gateway, tcpPort)); !isErrno(err, unix.ECONNREFUSED) {
				t.Errorf("connect: %s, want a refusal", describe(err))
			}
			if err := ask(c, netip.AddrPortFrom(test.gateway, udpAt.Port())); !isErrno(err, unix.ECONNREFUSED) {
				t.Errorf("UDP: %s, want a refusal", describe(err))
			}
			if heard.Load() != 0 {
				t.Error("a datagram reached the host's loopback")
			}
		})
		t.Run("open "+test.gateway.String(), func(t *testing.T) {
			c := network(t, func(o *Options) { o.HostLoopback = true })
			conn := c.mustDial("tcp", netip.AddrPortFrom(test.gateway, tcpPort))
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			if err := ask(c, netip.AddrPortFrom(test.gateway, udpAt.Port())); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAThousandConnections(t *testing.T) {
	to := listen(t, hostIP, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	c := network(t, nil)
	const count = 1000
	conns := make([]net.Conn, count)
	for i := range conns {
		conns[i] = c.mustDial("tcp", to)
	}
	var work sync.WaitGroup
	for i, conn := range conns {
		work.Go(func() {
			message := bytes.Repeat([]byte{byte(i)}, 10000)
			go func() { _, _ = conn.Write(message) }()
			got := make([]byte, len(message))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, message) {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	work.Wait()
}

// A connection that is over leaves nothing: as many again fit.
func TestConnectionsComeAndGo(t *testing.T) {
	to := listen(t, hostIP, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	c := network(t, nil)
	for range 3000 {
		conn, err := c.dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("x"))
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_ = conn.Close()
	}
}

// A port of the host's is taken for one destination only, and not for all: the range is
// soon used up by connections that have just ended.
func TestConnectionsShareThePortsOfTheHost(t *testing.T) {
	const destinations, ports = 4, 2
	var to []netip.AddrPort
	for range destinations {
		to = append(to, listen(t, hostIP, func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) }))
	}
	c := network(t, nil)
	narrowPorts(t, ports)
	for _, at := range to {
		c.mustDial("tcp", at)
	}
}

// narrowPorts leaves the host so many ports to choose from until the test ends.
func narrowPorts(t *testing.T, n int) {
	t.Helper()
	const name, first = "/proc/sys/net/ipv4/ip_local_port_range", 40000
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, fmt.Appendf(nil, "%d %d", first, first+n-1), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(name, before, 0) })
}
