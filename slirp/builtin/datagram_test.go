package builtin

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ask sends a byte by UDP from the container and wants it back.
func ask(c *container, to netip.AddrPort) error {
	conn, err := c.dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := hearAll(conn.(syscall.Conn)); err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := conn.Write([]byte("?")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// hearAll lets a datagram socket hear of unreachable hosts too, which the kernel
// does not think fatal (ip(7), IP_RECVERR).
func hearAll(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var four, six error
	err = raw.Control(func(fd uintptr) {
		four = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		six = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
	if four != nil && six != nil {
		return four
	}
	return err
}

func TestUDP(t *testing.T) {
	for _, ip := range []netip.Addr{hostIP, hostIP6} {
		needHost(t)
		to, _ := echoUDP(t, ip)
		c := network(t, nil)
		// The longest does not fit the MTU and comes in fragments, both ways.
		for _, size := range []int{0, 1, 1472, 30000, 65507} {
			t.Run(fmt.Sprint(ip, size), func(t *testing.T) {
				if ip.Is6() && size == 65507 {
					size -= 20 // the header is longer
				}
				conn := c.mustDial("udp", to)
				message := bytes.Repeat([]byte{'a', 'b', 'c'}, size/3+1)[:size]
				if _, err := conn.Write(message); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, packetMax)
				n, err := conn.Read(got)
				if err != nil || !bytes.Equal(got[:n], message) {
					t.Errorf("%d bytes of %d came back: %v", n, size, err)
				}
			})
		}
	}
}

func TestUDPRefused(t *testing.T) {
	c := network(t, nil)
	for _, ip := range []netip.Addr{hostIP, hostIP6} {
		if err := ask(c, netip.AddrPortFrom(ip, 9)); !isErrno(err, unix.ECONNREFUSED) {
			t.Errorf("%v: %s, want a refusal", ip, describe(err))
		}
	}
	if err := ask(c, at4("203.0.113.1", 9)); !isErrno(err, unix.EHOSTUNREACH) {
		t.Errorf("%s, want no route", describe(err))
	}
}

// ping sends one echo request from the container, as ping(8) does without
// privileges, and waits for the answer.
func ping(c *container, to netip.Addr, size int) error {
	var file *os.File
	var err error
	c.do(func() {
		if err = allowPing(); err == nil {
			file, err = connectedSocket(ICMP, netip.AddrPortFrom(to, 0))
		}
	})
	if err != nil {
		return err
	}
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := hearAll(conn.(syscall.Conn)); err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	request, answer := byte(8), byte(0)
	if to.Is6() {
		request, answer = 128, 129
	}
	message := append([]byte{request, 0, 0, 0, 0, 0, 0, 7}, bytes.Repeat([]byte("p"), size)...)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	got := make([]byte, packetMax)
	n, err := conn.Read(got)
	if err != nil {
		return err
	}
	if got[0] != answer || !bytes.Equal(got[6:n], message[6:]) {
		return fmt.Errorf("another answer: % x", got[:min(n, 16)])
	}
	return nil
}

// allowPing lets uid 0 open ping sockets in the namespace of its thread. It cannot
// be taken back: the empty range of the start is 1 to 0, and no group 1 is mapped.
func allowPing() error {
	return os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0)
}

func TestPing(t *testing.T) {
	c := network(t, nil)
	if setting, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range"); err != nil || strings.HasPrefix(string(setting), "1") {
		if err := ping(c, hostIP, 8); !isErrno(err, unix.EHOSTUNREACH) {
			t.Errorf("without ping sockets: %s, want a refusal", describe(err))
		}
	}
	if err := allowPing(); err != nil {
		t.Fatal(err)
	}
	for _, to := range []netip.Addr{
		at(DefaultNet4, gatewayByte), at(DefaultNet4, nameserverByte), hostIP,
		at(DefaultNet6, gatewayByte), at(DefaultNet6, nameserverByte), hostIP6,
	} {
		for _, size := range []int{56, 30000} {
			if err := ping(c, to, size); err != nil {
				t.Errorf("ping %v with %d bytes: %s", to, size, describe(err))
			}
		}
	}
	for _, to := range []string{"203.0.113.1", "198.51.100.1", "2001:db8:1::1"} {
		if err := ping(c, netip.MustParseAddr(to), 8); !isErrno(err, unix.EHOSTUNREACH) {
			t.Errorf("ping %v: %s, want no route", to, describe(err))
		}
	}
}
