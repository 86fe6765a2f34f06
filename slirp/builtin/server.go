package builtin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// past is a deadline that wakes who waits.
var past = time.Unix(1, 0)

// A server is the network of one container, or of those of a Switch.
type server struct {
	addresses
	one   client                             // the container
	each  func(ip netip.Addr) (client, bool) // a Switch's containers; nil where there is one
	guard *guard
	link  *link
	stack *stack.Stack
	tcp   *tcpForwarder
	flows *flowTable
	dns   *relay

	ctx  context.Context // ends with Serve
	fail context.CancelCauseFunc
	work sync.WaitGroup
}

// Serve is the container's network until ctx ends, when it returns nil, or until
// the tap is gone. Whatever it opened is closed when it returns. That the container
// ends is for the caller to see and ctx to say: an open tap keeps its network
// namespace.
func Serve(ctx context.Context, o Options) error {
	p, err := newPort(o.Tap)
	if err != nil {
		return err
	}
	a, err := addressesOf(o.Net4, o.Net6)
	if err != nil {
		p.close()
		return err
	}
	l := newLink(mtuOr(o.MTU), p.vnet)
	l.only = p
	s, err := newServer(ctx, a, l, o)
	if err != nil {
		p.close()
		return err
	}
	return s.run(func() error { return p.run(l.deliver) }, p.stop)
}

// Tune sets up the Go runtime of a process that has nothing to do but Serve; it is
// called before. Frames, segments and copies are passed from goroutine to goroutine,
// and on a CPU more than is needed each of them is woken on another one: of two
// CPUs, one makes bulk TCP to the host 1.2 and from the host 1.5 times as fast as
// two do, and leaves the other to the container.
func Tune() {
	const most = 4 // no measure says that more would help
	runtime.GOMAXPROCS(min(max(runtime.NumCPU()/2, 1), most))
}

func newServer(ctx context.Context, a addresses, l *link, o Options) (_ *server, err error) {
	s := &server{addresses: a, link: l}
	s.one = client{policy: o.Policy}
	if s.one.policy == nil {
		s.one.policy = permitAll{}
	}
	if s.guard, err = newGuard(a, o.HostLoopback); err != nil {
		return nil, err
	}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	s.dns = newRelay(o)
	s.flows = newFlowTable(time.Now)
	if err := s.build(); err != nil {
		s.fail(nil)
		s.guard.close()
		return nil, fmt.Errorf("make the network stack: %w", err)
	}
	return s, nil
}

// run takes frames until ctx ends, which stop passes on, or until take returns.
func (s *server) run(take func() error, stop func()) error {
	stopReading := context.AfterFunc(s.ctx, stop)
	defer stopReading()
	s.spawn(s.keepHouse)
	s.guarded(func() {
		if err := take(); err != nil {
			s.fail(err)
		}
	})
	s.fail(nil)
	s.tearDown()
	if err := context.Cause(s.ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// tearDown ends every connection and waits for every goroutine.
func (s *server) tearDown() {
	s.tcp.closeAll()
	s.flows.closeAll()
	s.work.Wait()
	s.stack.Close()
	s.stack.Wait()
	s.link.close()
	s.guard.close()
}

// spawn runs f in a goroutine that run waits for.
func (s *server) spawn(f func()) {
	s.work.Go(func() { s.guarded(f) })
}

// guarded turns a panic into the end of Serve. What it guards handles what a
// hostile container sent; gvisor's own goroutines are out of its reach, and a
// panic there ends the process with its stack on stderr.
func (s *server) guarded(f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	f()
}

// A client is a container, as its connections and its questions are judged.
type client struct {
	ip        netip.Addr // of the question or the connection
	policy    Policy
	resolvers []netip.AddrPort // to ask instead of the host's
}

// client is who has an address.
func (s *server) client(ip netip.Addr) client {
	if s.each == nil {
		return s.one
	}
	if c, ok := s.each(ip); ok {
		return c
	}
	return client{ip: ip, policy: permitNothing{}}
}
