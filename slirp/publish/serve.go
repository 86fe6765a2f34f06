package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Options say what Serve forwards and to whom.
type Options struct {
	// Listeners and Bound are Listen's. Serve takes the files and closes them.
	Listeners []*os.File
	Bound     []Bound
	// Netns is the container's network namespace, as /proc/PID/ns/net. It is the
	// caller's, and must stay open until Serve returns.
	Netns *os.File
	// Container4 and Container6 are the container's addresses; one may be missing.
	Container4, Container6 netip.Addr
	// Gateway4 and Gateway6 stand for clients that cannot be shown as they are.
	Gateway4, Gateway6 netip.Addr
	// Proc is where a procfs is mounted; empty: /proc.
	Proc string
	// Ready is called once everything is forwarded, and no capability is needed any more
	// but CAP_NET_ADMIN. May be nil.
	Ready func()
	// Report hears, once each, what is not as it should be though it goes on: that
	// clients cannot be shown as they are, that no descriptor is free. May be nil.
	Report func(error)

	clock clock // tests set it
}

// server is one Serve.
type server struct {
	Options
	space  *namespace
	routes *routes
	// shown says for each family whether sockets can have a client's address.
	shown    map[int]bool
	reported reports
	work     sync.WaitGroup
}

// Serve forwards until ctx ends, and then closes all of it: connections too. It
// may be called from any goroutine, in a process that is root of a user namespace
// above the container's. The error is why it could not begin; the host's ports
// are free again then.
func Serve(ctx context.Context, o Options) error {
	s := &server{Options: o, shown: map[int]bool{}, reported: reports{to: o.Report}}
	if s.Proc == "" {
		s.Proc = "/proc"
	}
	if s.clock == nil {
		s.clock = systemClock{}
	}
	tcps, udps, err := s.openPorts()
	if err != nil {
		return err
	}
	defer closePorts(tcps, udps)
	if s.space, err = join(o.Netns); err != nil {
		return err
	}
	endSpace := sync.OnceFunc(s.space.close)
	defer endSpace()
	link, err := s.space.netlink()
	if err != nil {
		return fmt.Errorf("the container's network: %w", err)
	}
	defer link.close()
	s.prepare(link)
	if len(udps) == 0 {
		endSpace() // the loops of TCP have threads of their own there
	}
	if len(tcps) > 0 {
		stop, err := s.startTCP(tcps)
		if err != nil {
			return err
		}
		defer stop()
	}
	s.startUDP(ctx, udps)
	if o.Ready != nil {
		o.Ready()
	}
	<-ctx.Done()
	closePorts(nil, udps)
	s.work.Wait() // before the namespace and the netlink socket go
	return nil
}

func (s *server) startUDP(ctx context.Context, ports []*udpPort) {
	for _, p := range ports {
		s.work.Go(func() { p.forward(ctx) })
	}
}

func closePorts(tcps []*tcpPort, udps []*udpPort) {
	for _, p := range tcps {
		_ = p.file.Close()
	}
	for _, p := range udps {
		_ = p.conn.Close()
	}
}

// openPorts takes the sockets over, or closes them.
func (s *server) openPorts() (tcps []*tcpPort, udps []*udpPort, err error) {
	if len(s.Listeners) != len(s.Bound) {
		closeFiles(s.Listeners)
		return nil, nil, fmt.Errorf("%d sockets for %d ports", len(s.Listeners), len(s.Bound))
	}
	for i, b := range s.Bound {
		if b.Protocol == TCP {
			var p *tcpPort
			if p, err = listenTCP(s.Listeners[i], b); err == nil {
				tcps = append(tcps, p)
			}
		} else {
			var conn net.PacketConn
			if conn, err = net.FilePacketConn(s.Listeners[i]); err == nil {
				_ = s.Listeners[i].Close() // conn has a descriptor of its own
				udps = append(udps, newUDPPort(s, b, conn.(*net.UDPConn)))
			}
		}
		if err != nil {
			closeFiles(s.Listeners)
			closePorts(nil, udps)
			return nil, nil, fmt.Errorf("port %s/%s: %w", b.host(), b.Protocol, err)
		}
	}
	return tcps, udps, nil
}

// prepare makes the container's routing ready, or else says why clients will not
// be shown as they are. They are the container's own address then: that of the
// gateway is no easier to have.
func (s *server) prepare(link *rtnetlink) {
	s.routes = &routes{
		link: link, clients: map[netip.Addr]int{},
		source: map[int]netip.Addr{unix.AF_INET: s.Container4, unix.AF_INET6: s.Container6},
	}
	var marks error
	s.space.do(func() { marks = takeMarksOver(s.Proc, s.Container6.IsValid()) })
	for family, ip := range s.routes.source {
		if !ip.IsValid() {
			continue
		}
		err := s.routes.install(family, s.Bound)
		if err == nil && marks != nil {
			err = s.routes.installByPort(family, s.Bound)
		}
		if err == nil {
			err = s.tryTransparent(family)
		}
		s.shown[family] = err == nil
		if err != nil {
			s.reported.once("transparent", fmt.Errorf("clients of published ports are shown as the container's own address: %w", err))
		}
	}
}

// tryTransparent makes a socket as each client will have one.
func (s *server) tryTransparent(family int) error {
	fd, err := s.space.socket(family, unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return transparent(fd, family)
}

// route says where a client's traffic goes, and as whom it comes there. The
// source is invalid where the container's own address must do.
func (s *server) route(client netip.AddrPort) (target netip.Addr, source netip.AddrPort) {
	ip := client.Addr().Unmap()
	target, gateway, other := s.Container4, s.Gateway4, s.Container6
	if ip.Is6() {
		target, gateway, other = s.Container6, s.Gateway6, s.Container4
	}
	if !target.IsValid() {
		// The other IP version: nothing of the client's address is left.
		target, gateway = other, s.Gateway6
		if other.Is4() {
			gateway = s.Gateway4
		}
		ip = gateway
	}
	// A link-local address of IPv6 means nothing without its interface.
	if ip.IsLoopback() || ip.IsUnspecified() || ip == s.Container4 || ip == s.Container6 || ip.Is6() && ip.IsLinkLocalUnicast() {
		ip = gateway
	}
	if !ip.IsValid() || !target.IsValid() || !s.shown[familyOf(target)] {
		return target, netip.AddrPort{}
	}
	return target, netip.AddrPortFrom(ip, client.Port())
}

// dial gives a socket of the container's network that is connected, or on its
// way, to a port of the container. Socket makes it there.
func (s *server) dial(socket func(family, kind int) (int, error), client netip.AddrPort, b Bound) (fd int, err error) {
	target, source := s.route(client)
	if !target.IsValid() {
		return -1, errors.New("the container has no address")
	}
	to := netip.AddrPortFrom(target, b.Container)
	fd, err = dialFrom(socket, source, to, b.Protocol)
	if (errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL)) && source.IsValid() {
		// The port is in use there, by a connection in TIME_WAIT or by another client
		// who is shown as the gateway too.
		fd, err = dialFrom(socket, netip.AddrPortFrom(source.Addr(), 0), to, b.Protocol)
	}
	return fd, err
}

func dialFrom(socket func(family, kind int) (int, error), source, to netip.AddrPort, protocol string) (int, error) {
	kind := unix.SOCK_DGRAM
	if protocol == TCP {
		kind = unix.SOCK_STREAM
	}
	family := familyOf(to.Addr())
	fd, err := socket(family, kind)
	if err != nil {
		return -1, err
	}
	if source.IsValid() {
		err = firstOf(transparent(fd, family), bindSource(fd, source, protocol))
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to %s/%s: %w", to, protocol, err)
	}
	return fd, nil
}

func bindSource(fd int, source netip.AddrPort, protocol string) error {
	if source.Port() == 0 {
		// Leaves the port to connect, which needs it free for this peer only
		// (ip(7), Linux 4.2).
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	} else if protocol == TCP {
		// One client port may lead to several ports of the container.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(source)))
}
