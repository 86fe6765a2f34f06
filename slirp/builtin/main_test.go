package builtin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// The tests run in a user and a network namespace of their own, which plays the
// host: it has lo, and one interface on a network of documentation addresses.
// insideEnv is set there; without it no namespace could be had.
const insideEnv = "ROOTLET_BUILTIN_TEST"

var (
	hostIP  = netip.MustParseAddr("192.0.2.1")
	hostIP6 = netip.MustParseAddr("2001:db8::1")
	// insideIP is the host's on lo.
	insideIP = netip.MustParseAddr("198.51.100.1")
)

func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) == "" {
		if code, err := reexec(); err == nil {
			os.Exit(code)
		}
		os.Exit(m.Run()) // in which the tests that need it skip
	}
	os.Exit(m.Run())
}

func reexec() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// hostReady is made once; the tun device of its interface lives with the process.
var hostReady = func() func() error {
	var done bool
	return func() error {
		if done {
			return nil
		}
		done = true
		return makeHost()
	}
}()

func makeHost() error {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ifr, err := unix.NewIfreq("host0")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	index, err := interfaceIndex("host0")
	if err != nil {
		return err
	}
	return errors.Join(
		request(linkMessage(1, 0, "")),
		request(linkMessage(index, 0, "")),
		request(addressMessage(index, hostIP, 24)),
		request(addressMessage(index, hostIP6, 64)),
		request(addressMessage(1, insideIP, 32)))
}

func request(m message) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	m.finish(1)
	return exchange(fd, m)
}

// needHost goes on only in the namespaces, where a tun device can be had.
func needHost(t testing.TB) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		testenv.Skip(t, "a user namespace with a network namespace")
	}
	if err := hostReady(); err != nil {
		testenv.Skip(t, "a tun device: "+err.Error())
	}
}

// A container is a network namespace: a thread in it, on which sockets are made.
// They stay in it whoever uses them.
type container struct {
	t     testing.TB
	netns *os.File
	jobs  chan func()
}

func newContainer(t testing.TB) *container {
	t.Helper()
	c := &container{t: t, jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with us
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			c.netns, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
		for job := range c.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { close(c.jobs); _ = c.netns.Close() })
	return c
}

// do runs f in the container.
func (c *container) do(f func()) {
	done := make(chan struct{})
	c.jobs <- func() { defer close(done); f() }
	<-done
}

// network starts a container with a network, which ends with the test.
func network(t testing.TB, change func(*Options)) *container {
	t.Helper()
	needHost(t)
	before := runtime.NumGoroutine()
	c := newContainer(t)
	tap, err := OpenTap(int(c.netns.Fd()), Link{Net6: DefaultNet6})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Tap: tap, Net6: DefaultNet6}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- Serve(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("Serve does not end\n%s", stacks())
		}
		// The container's own thread is still there.
		noneLeft(t, before+1)
	})
	return c
}

// noneLeft fails if there are more goroutines than before.
func noneLeft(t testing.TB, before int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks())
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func stacks() []byte {
	b := make([]byte, 1<<20)
	return b[:runtime.Stack(b, true)]
}

// dial connects from the container, TCP or UDP.
func (c *container) dial(network string, to netip.AddrPort) (conn net.Conn, err error) {
	return c.dialFor(network, to, 5*time.Second)
}

func (c *container) dialFor(network string, to netip.AddrPort, wait time.Duration) (net.Conn, error) {
	conn, err := c.connect(network, to, wait)
	if err != nil {
		return nil, err
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn, nil
}

func (c *container) connect(network string, to netip.AddrPort, wait time.Duration) (conn net.Conn, err error) {
	c.do(func() {
		d := net.Dialer{Timeout: wait}
		ctx := context.Background()
		if network == "udp" {
			conn, err = d.DialUDP(ctx, network, netip.AddrPort{}, to)
		} else {
			conn, err = d.DialTCP(ctx, network, netip.AddrPort{}, to)
		}
	})
	return conn, err
}

func (c *container) mustDial(network string, to netip.AddrPort) net.Conn {
	c.t.Helper()
	conn, err := c.dial(network, to)
	if err != nil {
		c.t.Fatalf("dial %s %v: %v", network, to, err)
	}
	return conn
}

// A listener of the host; serve is called for each connection.
func listen(t testing.TB, ip netip.Addr, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// echoUDP answers each datagram with itself, and counts them.
func echoUDP(t testing.TB, ip netip.Addr) (netip.AddrPort, *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var count atomic.Int64
	go func() {
		for b := make([]byte, packetMax); ; {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			count.Add(1)
			_, _ = conn.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), &count
}

func at4(ip string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), port)
}

func isErrno(err error, want ...syscall.Errno) bool {
	for _, e := range want {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func describe(err error) string { return fmt.Sprintf("%T %v", err, err) }
