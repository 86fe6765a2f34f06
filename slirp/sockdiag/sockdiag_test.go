package sockdiag

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func between(local, remote string) connection {
	return connection{ends: ends{netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)}}
}

func TestOnlyWhatLeavesTheNamespaceIsLost(t *testing.T) {
	all := []connection{
		between("10.0.2.100:4000", "192.0.2.1:80"),
		between("10.0.2.100:80", "192.0.2.9:5000"), between("192.0.2.9:5000", "10.0.2.100:80"), // a forwarded port
		between("127.0.0.1:1", "127.0.0.1:2"), between("127.0.0.1:2", "127.0.0.1:1"),
		between("[fd00::2]:4000", "[2001:db8::1]:80"),
	}
	got := lost(all)
	if len(got) != 2 || got[0].ends != all[0].ends || got[1].ends != all[5].ends {
		t.Errorf("%v", got)
	}
}

// The kernel's list has a connection of ours with both of its ends, by IPv4 on an IPv6
// socket too, and so neither is lost.
func TestDump(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.MustParseAddrPort(listener.Addr().String()).Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var all []connection
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		of, err := dump(fd, family)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, of...)
	}
	want := map[ends]bool{}
	for _, c := range []net.Conn{client, server} {
		local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
		want[ends{unmapped(local), unmapped(remote)}] = true
	}
	found := 0
	for _, c := range all {
		if want[c.ends] {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of two ends in %d connections", found, len(all))
	}
	for _, c := range lost(all) {
		if want[c.ends] {
			t.Errorf("%v is lost", c.ends)
		}
	}
	if os.Geteuid() == 0 {
		return
	}
	for _, c := range all {
		if want[c.ends] {
			if err := c.destroy(fd); !errors.Is(err, syscall.EPERM) {
				t.Errorf("destroy without a right: %v", err)
			}
		}
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// What the kernel sends is whole; were it not, that would be an error and nothing else.
func TestParseOfPieces(t *testing.T) {
	message := request(unix.SOCK_DIAG_BY_FAMILY, 0, unix.AF_INET, 0, [sizeofID]byte{})
	message = append(message, make([]byte, sizeofMsg-sizeofReq)...)
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	for size := 1; size < len(message); size++ {
		if list, last, err := parse(message[:size]); len(list) != 0 || !last || err == nil {
			t.Errorf("%d bytes: %v, %v, %v", size, list, last, err)
		}
	}
	if list, last, err := parse(message); len(list) != 1 || last || err != nil {
		t.Errorf("all of it: %v, %v, %v", list, last, err)
	}
	no := binary.NativeEndian.AppendUint32(request(unix.NLMSG_ERROR, 0, 0, 0, [sizeofID]byte{})[:unix.SizeofNlMsghdr], 0xffffffff)
	binary.NativeEndian.PutUint32(no, uint32(len(no)))
	if _, last, err := parse(no); !last || !errors.Is(err, unix.EPERM) {
		t.Errorf("a refusal: %v, %v", last, err)
	}
}
