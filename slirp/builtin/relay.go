package builtin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// A Relay is the nameserver alone, on sockets that somebody else has opened where the
// container comes to them (slirp/gate). It asks the host's resolvers from the network
// namespace of its process.
type Relay struct {
	relay   *relay
	client  client // there is one
	udp     []net.PacketConn
	tcp     []net.Listener
	callers chan struct{} // bounds the connections
}

// NewRelay makes one that answers as a Policy allows.
func NewRelay(p Policy) *Relay {
	return &Relay{relay: newRelay(Options{}), client: client{policy: p}, callers: make(chan struct{}, maxQueries)}
}

// ListenRelay is one at an address of a container's network namespace that nobody has: it
// is put on lo there, so that what is sent to it goes no further. It permits all. The caller
// is OpenInterface's.
func ListenRelay(netns int, at netip.Addr) (*Relay, error) {
	r := NewRelay(permitAll{})
	err := linux.InNetwork(netns, func() error {
		lo := Interface{Name: "lo", Address4: netip.PrefixFrom(at, at.BitLen())}
		if err := lo.change(lo.addresses); err != nil && !errors.Is(err, unix.EEXIST) { // of one that died
			return err
		}
		to := netip.AddrPortFrom(at, dnsPort)
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(to))
		if err != nil {
			return fmt.Errorf("the name server: %w", err)
		}
		tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(to))
		if err != nil {
			return errors.Join(fmt.Errorf("the name server: %w", err), udp.Close())
		}
		r.Listen(udp, tcp)
		return nil
	})
	return r, err
}

// Listen adds sockets. It is called before Serve, which closes them.
func (r *Relay) Listen(udp net.PacketConn, tcp net.Listener) {
	r.udp, r.tcp = append(r.udp, udp), append(r.tcp, tcp)
}

// Serve answers until ctx ends, when it returns nil. What it handles a hostile container
// may have sent: a panic ends it, and is the error.
func (r *Relay) Serve(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	guarded := func(f func()) {
		defer func() {
			if p := recover(); p != nil {
				fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		f()
	}
	for _, c := range r.udp {
		defer c.Close()
		go guarded(func() { fail(r.datagrams(ctx, c, guarded)) })
	}
	for _, l := range r.tcp {
		defer l.Close()
		go guarded(func() { fail(r.connections(ctx, l, guarded)) })
	}
	<-ctx.Done()
	if err := context.Cause(ctx); err != context.Canceled {
		return err
	}
	return nil
}

// datagrams drops what is too much at once: who asks will ask again.
func (r *Relay) datagrams(ctx context.Context, c net.PacketConn, guarded func(func())) error {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("nameserver: %w", err)
		}
		if !r.relay.acquire() {
			continue
		}
		query := slices.Clone(buf[:n])
		go guarded(func() {
			defer r.relay.release()
			if response := r.relay.answer(ctx, r.client, "udp", query); response != nil {
				_, _ = c.WriteTo(response, from)
			}
		})
	}
}

func (r *Relay) connections(ctx context.Context, l net.Listener, guarded func(func())) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("nameserver: %w", err)
		}
		select {
		case r.callers <- struct{}{}:
			go guarded(func() {
				defer func() { _ = conn.Close(); <-r.callers }()
				r.relay.converse(ctx, r.client, conn)
			})
		default:
			_ = conn.Close()
		}
	}
}
