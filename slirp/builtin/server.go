package builtin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// past is a deadline that wakes who waits.
var past = time.Unix(1, 0)

// A server is one container's network.
type server struct {
	addresses
	policy Policy
	guard  *guard
	link   *link
	stack  *stack.Stack
	tcp    *tcpForwarder
	flows  *flowTable
	dns    *relay

	ctx  context.Context // ends with Serve
	fail context.CancelCauseFunc
	work sync.WaitGroup
}

// Serve is the container's network until ctx ends, when it returns nil, or until
// the tap is gone. Whatever it opened is closed when it returns. That the container
// ends is for the caller to see and ctx to say: an open tap keeps its network
// namespace.
func Serve(ctx context.Context, o Options) error {
	tap, err := pollable(o.Tap)
	if err != nil {
		return err
	}
	o.Tap = tap
	s, err := newServer(ctx, o)
	if err != nil {
		_ = tap.Close()
		return err
	}
	return s.run()
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

func newServer(ctx context.Context, o Options) (*server, error) {
	a, err := addressesOf(o.Net4, o.Net6)
	if err != nil {
		return nil, err
	}
	l, err := newLink(o.Tap, mtuOr(o.MTU))
	if err != nil {
		return nil, fmt.Errorf("use the tap: %w", err)
	}
	s := &server{addresses: a, link: l, policy: o.Policy}
	if s.policy == nil {
		s.policy = permitAll{}
	}
	if s.guard, err = newGuard(a, o.HostLoopback); err != nil {
		return nil, err
	}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	s.dns = newRelay(o, s.policy)
	s.flows = newFlowTable(time.Now)
	if err := s.build(); err != nil {
		s.fail(nil)
		s.guard.close()
		return nil, fmt.Errorf("make the network stack: %w", err)
	}
	return s, nil
}

// pollable is the tap such that a Read of it can be ended. One that came over an
// execve(2) was perhaps made to block.
func pollable(tap *os.File) (*os.File, error) {
	if tap == nil {
		return nil, errors.New("no tap")
	}
	if tap.SetReadDeadline(time.Time{}) == nil {
		return tap, nil
	}
	defer tap.Close()
	fd, err := unix.FcntlInt(tap.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate the tap: %w", err)
	}
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), Device), nil
}

func (s *server) run() error {
	stopReading := context.AfterFunc(s.ctx, s.link.stop)
	defer stopReading()
	s.spawn(s.keepHouse)
	s.guarded(func() {
		if err := s.link.run(); err != nil {
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
