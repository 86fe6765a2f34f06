package publish

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func line(t testing.TB, r io.Reader) string {
	t.Helper()
	text, err := bufio.NewReader(r).ReadString('\n')
	check(t, err)
	return strings.TrimSuffix(text, "\n")
}

// echoes waits until the program has given a byte back.
func echoes(t testing.TB, conn net.Conn) {
	t.Helper()
	_, err := conn.Write([]byte("?"))
	check(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	check(t, err)
}

func TestTCPSource(t *testing.T) {
	c := newContainer(t)
	c.listen(80, tellPeer)
	bound, _ := c.publish("8080:80")
	if got, want := Column(bound, nil), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"; got != want {
		t.Errorf("bound %s, want %s", got, want)
	}
	for _, v := range []struct {
		name             string
		from, to, wanted netip.Addr
	}{
		{"IPv4", clientIP4, hostIP4, clientIP4},
		{"IPv6", clientIP6, hostIP6, clientIP6},
		{"the host's own address", hostIP4, hostIP4, hostIP4},
		{"IPv4 loopback", lo4, lo4, gateway4},
		{"IPv6 loopback", lo6, lo6, gateway6},
	} {
		t.Run(v.name, func(t *testing.T) {
			conn := dialHost(t, TCP, v.from, v.to, 8080)
			local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
			if got, want := line(t, conn), netip.AddrPortFrom(v.wanted, local.Port()).String(); got != want {
				t.Errorf("the program sees %s, want %s", got, want)
			}
		})
	}
}

func TestTCPSourceOfAContainerWithoutIPv6(t *testing.T) {
	c := newContainerWith(t, false)
	c.listen(80, tellPeer)
	c.publish("8080:80")
	got := line(t, dialHost(t, TCP, clientIP6, hostIP6, 8080))
	if peer := netip.MustParseAddrPort(got); peer.Addr() != gateway4 {
		t.Errorf("the program sees %s, want %s", peer, gateway4)
	}
}

// A client's port may be taken inside: by another client who is the gateway too.
func TestTCPSourcePortTaken(t *testing.T) {
	c := newContainer(t)
	c.listen(80, tellPeer)
	c.publish("127.0.0.1:8080:80", "127.0.0.1:8081:80")
	d := net.Dialer{Control: reusePort}
	first, err := d.Dial("tcp", "127.0.0.1:8080")
	check(t, err)
	defer first.Close()
	if got := netip.MustParseAddrPort(line(t, first)); got.Addr() != gateway4 {
		t.Errorf("the program sees %s first", got)
	}
	d.LocalAddr = first.LocalAddr()
	second, err := d.Dial("tcp", "127.0.0.1:8081")
	check(t, err)
	defer second.Close()
	got := netip.MustParseAddrPort(line(t, second))
	if taken := first.LocalAddr().(*net.TCPAddr).AddrPort().Port(); got.Addr() != gateway4 || got.Port() == taken {
		t.Errorf("the program sees %s, with port %d taken", got, taken)
	}
}

// What the program says by itself, from the very port that is published, goes to
// its network and not to our sockets.
func TestTCPRulesLeaveTheProgramAlone(t *testing.T) {
	c := newContainer(t)
	c.publish("8080:80", "8080:80/udp")
	for _, protocol := range []string{TCP, UDP} {
		var err error
		file, rejected := 0, unix.Errno(0)
		_ = file
		c.space.do(func() {
			kind := unix.SOCK_STREAM
			if protocol == UDP {
				kind = unix.SOCK_DGRAM
			}
			fd, _ := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK, 0)
			defer unix.Close(fd)
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 80})
			if err == nil {
				err = unix.Connect(fd, sockaddr(netip.AddrPortFrom(clientIP4, 9)))
			}
			name, _ := unix.Getsockname(fd)
			if got := addrPort(name).Addr(); got != ownIP4 {
				t.Errorf("%s: leaves from %v", protocol, got)
			}
			time.Sleep(20 * time.Millisecond)
			code, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			rejected = unix.Errno(code)
		})
		if err != nil && err != unix.EINPROGRESS || rejected != 0 {
			t.Errorf("%s from port 80: %v, %v: it did not go to the world", protocol, err, rejected)
		}
	}
}

func TestTCPHalfClose(t *testing.T) {
	c := newContainer(t)
	later := make(chan string, 1)
	c.listen(80, func(conn *net.TCPConn) {
		all, _ := io.ReadAll(conn) // until the client ends
		_, _ = conn.Write(bytes.ToUpper(all))
	})
	c.listen(81, func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "first")
		_ = conn.CloseWrite()
		all, _ := io.ReadAll(conn)
		later <- string(all)
	})
	c.publish("8080:80", "8081:81")

	conn := dialHost(t, TCP, clientIP4, hostIP4, 8080).(*net.TCPConn)
	_, err := io.WriteString(conn, "question")
	check(t, err)
	check(t, conn.CloseWrite())
	if all, err := io.ReadAll(conn); string(all) != "QUESTION" || err != nil {
		t.Errorf("after the client's end the answer is %q, %v", all, err)
	}

	conn = dialHost(t, TCP, clientIP4, hostIP4, 8081).(*net.TCPConn)
	if all, err := io.ReadAll(conn); string(all) != "first" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
	_, err = io.WriteString(conn, "later")
	check(t, err)
	check(t, conn.CloseWrite())
	if got := <-later; got != "later" {
		t.Errorf("after its own end the program reads %q", got)
	}
}

func TestTCPReset(t *testing.T) {
	c := newContainer(t)
	seen := make(chan error, 1)
	c.listen(80, func(conn *net.TCPConn) { _ = conn.SetLinger(0) })
	c.listen(81, func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("."))
		_, err := io.Copy(io.Discard, conn)
		seen <- err
	})
	c.publish("8080:80", "8081:81")
	conn, err := tryDial(TCP, clientIP4, hostIP4, 8080)
	if err == nil { // else it came while it connected
		_, err = conn.Read(make([]byte, 1))
		check(t, conn.Close())
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the program's reset came as %v", err)
	}
	conn = dialHost(t, TCP, clientIP4, hostIP4, 8081)
	_, err = conn.Read(make([]byte, 1))
	check(t, err)
	check(t, conn.(*net.TCPConn).SetLinger(0))
	check(t, conn.Close())
	if err := <-seen; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client's reset came as %v", err)
	}
}

func TestTCPRefused(t *testing.T) {
	c := newContainer(t)
	c.publish("8080:80")
	for _, to := range []netip.Addr{hostIP4, hostIP6, lo4, lo6} {
		start := time.Now()
		conn, err := tryDial(TCP, netip.Addr{}, to, 8080)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if !errors.Is(err, unix.ECONNRESET) || time.Since(start) > time.Second {
			t.Errorf("%s: nobody listens: %v after %v", to, err, time.Since(start))
		}
	}
}

func TestTCPBulk(t *testing.T) {
	c := newContainer(t)
	c.listen(80, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	c.publish("8080:80")
	data := make([]byte, 48<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	for _, v := range []struct {
		name  string
		chunk int
		late  time.Duration // before the client reads: all that is between is full then
	}{
		{"a stream", len(data), 0},
		{"a slow reader", len(data), 300 * time.Millisecond},
		{"chunks", 50_000, 0},
		{"chunks and a slow reader", 99_999, 300 * time.Millisecond},
	} {
		t.Run(v.name, func(t *testing.T) {
			conn := dialHost(t, TCP, clientIP4, hostIP4, 8080).(*net.TCPConn)
			go func() {
				for chunk := range slices.Chunk(data, v.chunk) {
					_, _ = conn.Write(chunk)
				}
				_ = conn.CloseWrite()
			}()
			time.Sleep(v.late)
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %d came back, error %v", len(got), len(data), err)
			}
		})
	}
}

// A stream's pipes and a slow reader's rest go with the connection, and the
// program hears of it whatever was under way.
func TestTCPAbortedStreams(t *testing.T) {
	c := newContainer(t)
	var programs sync.WaitGroup
	c.listen(80, func(conn *net.TCPConn) {
		defer programs.Done()
		_, _ = io.Copy(conn, conn)
	})
	settled(t, func() {
		_, end := c.publish("8080:80")
		programs.Add(1)
		first := dialHost(t, TCP, clientIP4, hostIP4, 8080)
		echoes(t, first) // all is started
		check(t, first.Close())
		programs.Wait()
		const pipe = 2 // a shard keeps one
		settledBut(t, pipe, func() {
			for range 40 {
				programs.Add(1)
				conn := dialHost(t, TCP, clientIP4, hostIP4, 8080).(*net.TCPConn)
				check(t, conn.SetWriteDeadline(time.Now().Add(30*time.Millisecond)))
				_, _ = conn.Write(make([]byte, 16<<20)) // nobody reads
				check(t, conn.SetLinger(0))
				check(t, conn.Close())
			}
			programs.Wait()
		})
		end()
	})
}

func TestTCPChurn(t *testing.T) {
	c := newContainer(t)
	c.serve(80)
	settled(t, func() {
		_, end := c.publish("8080:80")
		first := dialHost(t, TCP, clientIP4, hostIP4, 8080)
		_ = line(t, first) // all is started
		check(t, first.Close())
		settled(t, func() {
			for range 3000 {
				conn, err := tryDial(TCP, clientIP4, hostIP4, 8080)
				check(t, err)
				_ = line(t, conn)
				check(t, conn.Close())
			}
		})
		end()
	})
}

func TestTCPResetsLeaveNothing(t *testing.T) {
	c := newContainer(t)
	c.listen(80, func(conn *net.TCPConn) {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.SetLinger(0)
	})
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one loop, which stays
	settled(t, func() {
		_, end := c.publish("8080:80")
		first := dialHost(t, TCP, clientIP4, hostIP4, 8080)
		_, _ = first.Write([]byte("?"))
		_, _ = first.Read(make([]byte, 1)) // all is started
		check(t, first.Close())
		settled(t, func() {
			for i := range 600 {
				conn, err := tryDial(TCP, clientIP4, hostIP4, 8080)
				check(t, err)
				if i%3 > 0 {
					_, _ = conn.Write([]byte("??"))
				}
				if i%2 > 0 {
					check(t, conn.(*net.TCPConn).SetLinger(0))
				}
				check(t, conn.Close())
			}
		})
		end()
	})
}

// Clients for whom no descriptor is free wait, and have their turn.
func TestTCPDescriptorsRunOut(t *testing.T) {
	c := newContainer(t)
	c.serve(80)
	mappings, err := Parse([]string{"8080:80"})
	check(t, err)
	o := c.options()
	o.Bound, o.Listeners, err = Listen(t.Context(), mappings, "/proc")
	check(t, err)
	var clients []net.Conn
	for range 60 {
		clients = append(clients, dialHost(t, TCP, clientIP4, hostIP4, 8080))
	}
	var before unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	limit := unix.Rlimit{Cur: uint64(countDescriptors(t) + 30), Max: before.Max}
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	defer func() { check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	reported := make(chan error, 1)
	o.Report = func(err error) { reported <- err }
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, o) }()
	if err := <-reported; !errors.Is(err, unix.EMFILE) {
		t.Errorf("reported %v", err)
	}
	for _, conn := range clients { // each makes room for the next
		if got, want := line(t, conn), conn.LocalAddr().String(); got != want {
			t.Errorf("the program sees %s, want %s", got, want)
		}
		check(t, conn.Close())
	}
	cancel()
	check(t, <-served)
}

// Where procfs is read-only, TCP goes by port.
func TestTCPSourceWithoutMarks(t *testing.T) {
	c := newContainer(t)
	c.listen(80, tellPeer)
	o := c.options()
	o.Proc = t.TempDir()
	c.publishWith(o, "8080:80")
	for _, v := range [][2]netip.Addr{{clientIP4, hostIP4}, {clientIP6, hostIP6}} {
		conn := dialHost(t, TCP, v[0], v[1], 8080)
		if got, want := line(t, conn), conn.LocalAddr().String(); got != want {
			t.Errorf("the program sees %s, want %s", got, want)
		}
	}
}

func TestServeAgain(t *testing.T) {
	c := newContainer(t)
	c.listen(80, tellPeer)
	c.listenUDP(53)
	for range 2 {
		settled(t, func() {
			_, end := c.publish("8080:80", "5353:53/udp")
			stream := dialHost(t, TCP, clientIP4, hostIP4, 8080)
			_ = line(t, stream)
			datagrams := dialHost(t, UDP, clientIP4, hostIP4, 5353)
			exchange(t, datagrams, "word")
			check(t, stream.Close())
			check(t, datagrams.Close())
			end()
		})
	}
}

func TestTCPThousandConnections(t *testing.T) {
	c := newContainer(t)
	c.listen(80, tellPeer)
	settled(t, func() {
		_, end := c.publish("8080:80")
		var conns []net.Conn
		for range 1000 {
			conn, err := tryDial(TCP, clientIP4, hostIP4, 8080)
			check(t, err)
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			check(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
			if got, want := line(t, conn), conn.LocalAddr().String(); got != want {
				t.Errorf("the program sees %s, want %s", got, want)
			}
		}
		for i, conn := range conns {
			if i%2 == 0 { // the others are open when it ends
				check(t, conn.Close())
			}
		}
		end()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
}

// reusePort lets two connections of a client have one port, to different peers.
func reusePort(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}
