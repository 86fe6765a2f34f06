package publish

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// The test binary plays three parts: the one that the suite starts, the tests
// themselves in a user and a network namespace that stand for U1 and the host
// (named by innerEnv), and the process whose network is a container's.
const (
	innerEnv      = "PUBLISH_TEST_U1"
	containerName = "publish-test-container"
)

// The host's addresses, on its lo, and the container's, on its tap0.
var (
	hostIP4, hostIP6     = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	clientIP4, clientIP6 = netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	ownIP4, ownIP6       = netip.MustParseAddr("10.0.2.100"), netip.MustParseAddr("fd00::100")
	gateway4, gateway6   = netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fd00::2")
)

func TestMain(m *testing.M) {
	if os.Args[0] == containerName {
		serveContainer(os.Stdin, os.Stdout)
		os.Exit(0)
	}
	if os.Getenv(innerEnv) != "" {
		if err := setUpHost(); err != nil {
			fmt.Fprintln(os.Stderr, "set up the host's network:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() == 0 {
		os.Exit(m.Run()) // what needs the namespaces is skipped
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), innerEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "namespaces:", err)
		os.Exit(m.Run())
	}
}

// serveContainer does what a line asks for: that it serve a TCP port.
func serveContainer(in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		listener, err := net.Listen("tcp", ":"+lines.Text())
		fmt.Fprintln(out, err)
		if err != nil {
			continue
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() { defer conn.Close(); tellPeer(conn.(*net.TCPConn)) }()
			}
		}()
	}
}

// need goes on only inside the namespaces.
func need(t testing.TB) {
	t.Helper()
	if os.Getenv(innerEnv) == "" {
		testenv.NeedUser(t)
		testenv.Skip(t, "user and network namespaces")
	}
}

func setUpHost() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	return addAddresses(lo, hostIP4, hostIP6, clientIP4, clientIP6)
}

func addAddresses(link netlink.Link, addresses ...netip.Addr) error {
	for _, ip := range addresses {
		bits := 24
		if ip.Is6() {
			bits = 64
		}
		address, err := netlink.ParseAddr(netip.PrefixFrom(ip, bits).String())
		if err != nil {
			return err
		}
		address.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, address); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("address %s: %w", ip, err)
		}
	}
	return nil
}

// container is a network namespace of a user namespace below U1.
type container struct {
	t     testing.TB
	netns *os.File
	space *namespace
	ip6   bool
	to    io.Writer
	out   *bufio.Reader
}

// serve has the container's own process tell its peers who they are.
func (c *container) serve(port uint16) {
	c.t.Helper()
	fmt.Fprintln(c.to, port)
	if answer, err := c.out.ReadString('\n'); err != nil || answer != "<nil>\n" {
		c.t.Fatalf("serve %d: %q, %v", port, answer, err)
	}
}

func newContainer(t testing.TB) *container { return newContainerWith(t, true) }

func newContainerWith(t testing.TB, ip6 bool) *container {
	t.Helper()
	need(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = containerName
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	c := &container{t: t, ip6: ip6, to: stdin, out: bufio.NewReader(stdout)}
	c.netns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	check(t, err)
	t.Cleanup(func() { _ = c.netns.Close() })
	c.space, err = join(c.netns)
	check(t, err)
	t.Cleanup(c.space.close)
	c.space.do(func() { err = c.setUp() })
	check(t, err)
	return c
}

// setUp makes the container's tap0, of a pair of which nobody reads the other end.
func (c *container) setUp() error {
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "world"}
	pair.Name = "tap0"
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	for _, name := range []string{"lo", "tap0", "world"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	link, err := netlink.LinkByName("tap0")
	if err != nil {
		return err
	}
	own := []netip.Addr{ownIP4}
	if c.ip6 {
		own = append(own, ownIP6)
	}
	if err := addAddresses(link, own...); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway4.AsSlice()})
}

func (c *container) options() Options {
	o := Options{Netns: c.netns, Container4: ownIP4, Gateway4: gateway4}
	if c.ip6 {
		o.Container6, o.Gateway6 = ownIP6, gateway6
	}
	return o
}

// publish forwards until the test or the returned function ends it.
func (c *container) publish(specs ...string) ([]Bound, func()) {
	c.t.Helper()
	return c.publishWith(c.options(), specs...)
}

func (c *container) publishWith(o Options, specs ...string) ([]Bound, func()) {
	c.t.Helper()
	mappings, err := Parse(specs)
	check(c.t, err)
	o.Bound, o.Listeners, err = Listen(c.t.Context(), mappings, "/proc")
	check(c.t, err)
	if o.Report == nil {
		o.Report = func(err error) { c.t.Errorf("reported: %v", err) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, o) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			c.t.Errorf("Serve: %v", err)
		}
	})
	c.t.Cleanup(end)
	return o.Bound, end
}

// listen runs a program in the container that handles each connection.
func (c *container) listen(port uint16, handle func(*net.TCPConn)) {
	c.t.Helper()
	var listener net.Listener
	var err error
	c.space.do(func() { listener, err = net.Listen("tcp", fmt.Sprintf(":%d", port)) })
	check(c.t, err)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer conn.Close(); handle(conn.(*net.TCPConn)) })
		}
	})
	c.t.Cleanup(func() { _ = listener.Close(); work.Wait() })
}

// tellPeer writes who the client is, and then all that the client sends.
func tellPeer(conn *net.TCPConn) {
	fmt.Fprintln(conn, conn.RemoteAddr())
	_, _ = io.Copy(conn, conn)
}

// listenUDP runs a program on an unconnected socket that answers each datagram
// with its sender's address, a line, and what it said.
func (c *container) listenUDP(port uint16) {
	c.t.Helper()
	var conn net.PacketConn
	var err error
	c.space.do(func() { conn, err = net.ListenPacket("udp", fmt.Sprintf(":%d", port)) })
	check(c.t, err)
	var work sync.WaitGroup
	work.Go(func() {
		buffer := make([]byte, maxDatagram)
		for {
			n, peer, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			answer := fmt.Appendf(nil, "%v\n", peer)
			if n < 60000 {
				answer = append(answer, buffer[:n]...)
			} else {
				answer = buffer[:n]
			}
			_, _ = conn.WriteTo(answer, peer)
		}
	})
	c.t.Cleanup(func() { _ = conn.Close(); work.Wait() })
}

// dialHost connects from an address of the host.
func dialHost(t testing.TB, network string, from, to netip.Addr, port uint16) net.Conn {
	t.Helper()
	conn, err := tryDial(network, from, to, port)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

func tryDial(network string, from, to netip.Addr, port uint16) (net.Conn, error) {
	d := net.Dialer{Timeout: 20 * time.Second}
	if network == UDP {
		d.LocalAddr = &net.UDPAddr{IP: from.AsSlice()}
	} else {
		d.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	return d.Dial(network, netip.AddrPortFrom(to, port).String())
}

// exchange sends a word over UDP and gives the program's answer.
func exchange(t testing.TB, conn net.Conn, word string) (peer, echo string) {
	t.Helper()
	_, err := io.WriteString(conn, word)
	check(t, err)
	buffer := make([]byte, maxDatagram)
	n, err := conn.Read(buffer)
	check(t, err)
	peer, echo, _ = strings.Cut(string(buffer[:n]), "\n")
	return peer, echo
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settled fails if goroutines or descriptors are left after f that were not there
// before. It waits a little: threads and sockets end behind our back.
func settled(t testing.TB, f func()) {
	t.Helper()
	settledBut(t, 0, f)
}

// settledBut allows for descriptors that are kept for the next time.
func settledBut(t testing.TB, kept int, f func()) {
	t.Helper()
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors(t)+kept
	f()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > goroutines || countDescriptors(t) > descriptors {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines where %d were, %d descriptors where %d were\n%s",
				runtime.NumGoroutine(), goroutines, countDescriptors(t), descriptors, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(10 * time.Millisecond)
		runtime.GC() // the test's own programs: net keeps the pipes of io.Copy until then
	}
}

func countDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(entries)
}
