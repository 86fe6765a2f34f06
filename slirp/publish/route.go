package publish

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// How answers to an address of the outer world find back to the socket that has
// it, inside the container's network:
//
// TCP goes by marks. Our sockets mark what they send; a socket that a marked
// packet opens marks what it sends in turn (net.ipv4.tcp_fwmark_accept, Linux
// 3.16), as does the kernel's own refusal (fwmark_reflect); and a rule delivers
// all that is marked locally. What the program sends by itself, from whatever
// port, has no mark and goes its way.
//
// A socket of UDP takes no mark over. There a rule has what leaves from a
// published port look into a table that holds the clients of live flows alone,
// and only they are local. To all others, such as the peer of a WireGuard or the
// server that a DNS relay asks, the program speaks from that port as ever.
//
// Where the sysctls cannot be written (procfs is read-only in a container around
// us) TCP goes by port as well, and then by all of it: a program that dials out
// from its published port reaches nobody.
const (
	mark       = 0x726c6574 // "rlet"; also the table of what is marked
	tableUDP   = mark + 1
	rulesStart = 20000 // before main, 32766, and whatever the program adds without a number
)

// routes are the rules of one container, and the clients in tableUDP.
type routes struct {
	link   *rtnetlink
	source map[int]netip.Addr // the container's address, by family

	mu      sync.Mutex
	clients map[netip.Addr]int // live flows
}

// install makes the rules of a family. The error names what failed; without
// rules there is no transparency.
func (r *routes) install(family int, bound []Bound) error {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if family == unix.AF_INET6 {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if err := r.link.addLocal(mark, all, r.source[family]); err != nil {
		return fmt.Errorf("route in the container: %w", err)
	}
	if err := r.link.addRule(family, mark, rulesStart, byMark(mark)); err != nil {
		return fmt.Errorf("rule in the container: %w", err)
	}
	for _, b := range bound {
		if b.Protocol != UDP {
			continue
		}
		if err := r.link.addRule(family, tableUDP, rulesStart+1, byPort(UDP, b.Container)); err != nil {
			return fmt.Errorf("rule in the container: %w", err)
		}
	}
	return nil
}

// installByPort is for TCP without marks.
func (r *routes) installByPort(family int, bound []Bound) error {
	for _, b := range bound {
		if b.Protocol != TCP {
			continue
		}
		if err := r.link.addRule(family, mark, rulesStart+1, byPort(TCP, b.Container)); err != nil {
			return fmt.Errorf("rule in the container: %w", err)
		}
	}
	return nil
}

// takeMarksOver has sockets of the container answer with the mark that a packet
// came with. It is called in the container's namespace, which is whose sysctls
// /proc/sys/net shows to the thread that looks.
func takeMarksOver(proc string, ip6 bool) error {
	names := []string{"ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect"} // the first is IPv6's as well
	if ip6 {
		names = append(names, "ipv6/fwmark_reflect")
	}
	for _, name := range names {
		path := filepath.Join(proc, "sys/net", name)
		if current, err := os.ReadFile(path); err == nil && string(current) == "1\n" {
			continue
		}
		if err := os.WriteFile(path, []byte("1"), 0); err != nil {
			return err
		}
	}
	return nil
}

// acquire makes a client's address local to flows of UDP.
func (r *routes) acquire(client netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients[client] == 0 {
		if err := r.link.addLocal(tableUDP, host(client), r.source[familyOf(client)]); err != nil {
			return fmt.Errorf("route in the container: %w", err)
		}
	}
	r.clients[client]++
	return nil
}

// release undoes one acquire.
func (r *routes) release(client netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients[client]--; r.clients[client] > 0 {
		return
	}
	delete(r.clients, client)
	_ = r.link.removeLocal(tableUDP, host(client)) // gone with the namespace, if not now
}

func host(ip netip.Addr) netip.Prefix { return netip.PrefixFrom(ip, ip.BitLen()) }

// transparent gives a socket the right to any address, and the mark.
func transparent(fd int, family int) error {
	level, name := unix.IPPROTO_IP, unix.IP_TRANSPARENT
	if family == unix.AF_INET6 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
	}
	return errors.Join(
		os.NewSyscallError("IP_TRANSPARENT", unix.SetsockoptInt(fd, level, name, 1)),
		os.NewSyscallError("SO_MARK", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark)))
}
