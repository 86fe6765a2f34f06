package publish

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// backlog is cut by the kernel to net.core.somaxconn (listen(2)).
const backlog = 4096

// randomTries bounds the search for a port that is free under IPv4 and IPv6.
const randomTries = 64

// Listen binds the host's ports of all mappings, in the network namespace of the
// calling thread, and gives for each socket what it is bound to. A mapping to
// every address has two, one per IP version, with the same port. The sockets of
// TCP listen already: a client that comes before Serve waits for it.
//
// The error is a *BindError, or why ctx ended; nothing is left bound then. Proc
// is where the host's procfs is mounted, which names the program that has a taken
// port.
func Listen(ctx context.Context, mappings []Mapping, proc string) ([]Bound, []*os.File, error) {
	bounds, files := make([][]Bound, len(mappings)), make([][]*os.File, len(mappings))
	for _, i := range leastChoiceFirst(mappings) {
		var err error
		if bounds[i], files[i], err = listenOne(ctx, mappings[i], proc); err != nil {
			closeFiles(slices.Concat(files...))
			return nil, nil, err
		}
	}
	return slices.Concat(bounds...), slices.Concat(files...), nil
}

// leastChoiceFirst orders mappings so that none takes a port that another needs.
func leastChoiceFirst(mappings []Mapping) []int {
	choice := func(m Mapping) int {
		if m.HostFirst == 0 {
			return math.MaxUint16
		}
		return int(m.HostLast - m.HostFirst)
	}
	order := make([]int, len(mappings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(choice(mappings[a]), choice(mappings[b])) })
	return order
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// listenOne takes the first free port of a mapping's range.
func listenOne(ctx context.Context, m Mapping, proc string) ([]Bound, []*os.File, error) {
	tries := int(m.HostLast) - int(m.HostFirst) + 1
	if m.HostFirst == 0 {
		tries = randomTries
	}
	var err error
	for i := range tries {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		port := m.HostFirst
		if port != 0 {
			port += uint16(i)
		}
		var bound []Bound
		var files []*os.File
		if bound, files, err = bindAll(m, port); err == nil {
			return bound, files, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, nil, explain(err, m, proc)
}

// bindAll binds a mapping's addresses to one port; 0 lets the kernel choose.
func bindAll(m Mapping, port uint16) (bound []Bound, files []*os.File, err error) {
	addresses := []netip.Addr{m.HostIP}
	if !m.HostIP.IsValid() {
		addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, ip := range addresses {
		at := netip.AddrPortFrom(ip, port)
		file, got, err := bindOne(m.Protocol, at)
		if err != nil && !m.HostIP.IsValid() && ip.Is6() && withoutIPv6(err) {
			continue
		}
		if err != nil {
			closeFiles(files)
			return nil, nil, newBindError(m.Protocol, at, err)
		}
		port = got // the second address takes the number that the kernel gave the first
		bound = append(bound, Bound{HostIP: ip, HostPort: got, Container: m.Container, Protocol: m.Protocol})
		files = append(files, file)
	}
	return bound, files, nil
}

// withoutIPv6 says that a host has no IPv6: not built in, or ipv6.disable=1.
func withoutIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EPROTONOSUPPORT)
}

// bindOne gives a socket that is bound, and its port.
func bindOne(protocol string, at netip.AddrPort) (*os.File, uint16, error) {
	kind := unix.SOCK_DGRAM
	if protocol == TCP {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(familyOf(at.Addr()), kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, os.NewSyscallError("socket", err)
	}
	port, err := setUp(fd, protocol, at)
	if err != nil {
		_ = unix.Close(fd)
		return nil, 0, err
	}
	return os.NewFile(uintptr(fd), protocol+" "+at.String()), port, nil
}

func setUp(fd int, protocol string, at netip.AddrPort) (uint16, error) {
	ip6 := at.Addr().Is6()
	if ip6 {
		// 0.0.0.0 has a socket of its own, so that the families are told apart.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return 0, os.NewSyscallError("IPV6_V6ONLY", err)
		}
	}
	if err := options(fd, protocol, ip6); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, sockaddr(at)); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	if protocol == TCP {
		if err := unix.Listen(fd, backlog); err != nil {
			return 0, os.NewSyscallError("listen", err)
		}
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return addrPort(name).Port(), nil
}

func options(fd int, protocol string, ip6 bool) error {
	switch {
	case protocol == TCP:
		// A connection in TIME_WAIT does not keep the port from the next container.
		// For UDP the option would let others share it (socket(7)).
		return os.NewSyscallError("SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	case ip6:
		// Answers leave from the address that was asked, of a host with many.
		return os.NewSyscallError("IPV6_RECVPKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
	}
	return os.NewSyscallError("IP_PKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
}

func familyOf(ip netip.Addr) int {
	if ip.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
	}
	return &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}
}

func addrPort(name unix.Sockaddr) netip.AddrPort {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}
