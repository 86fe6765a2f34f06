package slirptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"rootlet/slirp"
)

// container is a process in U2, with its own user and network namespace.
type container struct {
	t   *testing.T
	cmd *exec.Cmd
	to  io.Writer
	out *bufio.Scanner
}

// newContainer starts one; it ends with the test.
func newContainer(t *testing.T) *container {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = containerName
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := startOnOwnThread(t, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &container{t: t, cmd: cmd, to: to, out: bufio.NewScanner(out)}
}

// startOnOwnThread starts a process that is to die with us: with the thread that has made
// it, to be exact (prctl(2), PR_SET_PDEATHSIG), so that thread has to stay.
func startOnOwnThread(t *testing.T, cmd *exec.Cmd) error {
	started, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		<-over
	}()
	t.Cleanup(func() { close(over) })
	return <-started
}

func (c *container) pid() int { return c.cmd.Process.Pid }

// ask gives the container one order and returns its answer.
func (c *container) ask(order ...string) string {
	c.t.Helper()
	fmt.Fprintln(c.to, strings.Join(order, " "))
	if !c.out.Scan() {
		c.t.Fatalf("container ended at %q", order)
	}
	return c.out.Text()
}

// serveContainer answers orders, a line each: "dial NETWORK ADDRESS" (sends one
// byte, waits for one), "send ADDRESS" (begins to connect by TCP), "resolve NETWORK NAME" (its
// IPv4 addresses, by the network's name server), "forge FROM TO" (sends a question to a name
// server with such addresses to the gateway's hardware address) and "interface NAME".
func serveContainer(in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		order := strings.Fields(lines.Text())
		var answer string
		switch order[0] {
		case "dial":
			answer = dial(order[1], order[2])
		case "forge":
			answer = forge(order[1], order[2])
		case "send":
			answer = send(order[1])
		case "resolve":
			answer = resolve(order[1], order[2])
		case "interface":
			answer = describe(order[1])
		}
		fmt.Fprintln(out, answer)
	}
}

func dial(network, address string) string {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("?")); err != nil {
		return err.Error()
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return err.Error()
	}
	return "reached"
}

func send(address string) string {
	conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
	if err != nil {
		return err.Error()
	}
	_ = conn.Close()
	return "reached"
}

// resolve asks by itself: the container sees the /etc/hosts that a test made for the host.
func resolve(network, name string) string {
	conn, err := net.Dial(network, net.JoinHostPort(slirp.Settings{}.NameserverIP().String(), "53"))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	asked, head := question(name), 0
	if network == "tcp" { // the length before each message (RFC 1035 section 4.2.2)
		asked, head = append([]byte{byte(len(asked) >> 8), byte(len(asked))}, asked...), 2
	}
	if _, err := conn.Write(asked); err != nil {
		return err.Error()
	}
	buf := make([]byte, 512)
	n, err := conn.Read(buf)
	if err != nil {
		return err.Error()
	}
	var response dnsmessage.Message
	if err := response.Unpack(buf[min(head, n):n]); err != nil {
		return err.Error()
	}
	if len(response.Answers) != 1 {
		return response.RCode.String()
	}
	if a, ok := response.Answers[0].Body.(*dnsmessage.AResource); ok {
		return netip.AddrFrom4(a.A).String()
	}
	return response.Answers[0].GoString()
}

func question(name string) []byte {
	query := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
	}}}
	packed, err := query.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

func describe(name string) string {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return err.Error()
	}
	addrs, err := dev.Addrs()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(dev.MTU, dev.Flags&net.FlagUp != 0, addrs)
}
