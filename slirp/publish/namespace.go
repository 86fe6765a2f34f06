package publish

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// enter runs f on a thread that has joined a network namespace (setns(2) moves
// one thread alone), and returns once it has, or could not. The thread ends with
// f, so that nothing else ever runs in the container's network.
func enter(netns *os.File, f func()) error {
	joined := make(chan error)
	go enterLocked(netns, f, joined)
	return <-joined
}

func enterLocked(netns *os.File, f func(), joined chan<- error) {
	runtime.LockOSThread() // never unlocked: the runtime ends the thread with us
	if unix.Gettid() == unix.Getpid() {
		// Not the first thread: it cannot end, and /proc/PID is what it says it is.
		// While it is held here, another goroutine gets another.
		elsewhere := make(chan error)
		go enterLocked(netns, f, elsewhere)
		err := <-elsewhere
		runtime.UnlockOSThread()
		joined <- err
		return
	}
	connection, err := netns.SyscallConn()
	if err == nil {
		controlErr := connection.Control(func(fd uintptr) { err = unix.Setns(int(fd), unix.CLONE_NEWNET) })
		err = firstOf(controlErr, os.NewSyscallError("setns", err))
	}
	if err != nil {
		joined <- fmt.Errorf("join the container's network: %w", err)
		return
	}
	joined <- nil
	f()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// namespace does work in the container's network namespace for others.
type namespace struct {
	work chan func()
}

// join starts the thread. It ends with close.
func join(netns *os.File) (*namespace, error) {
	n := &namespace{work: make(chan func())}
	return n, enter(netns, func() {
		for f := range n.work {
			f()
		}
	})
}

// do runs f in the namespace and waits for it. It must be short.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { f(); close(done) }
	<-done
}

// socket is newSocket in the namespace.
func (n *namespace) socket(family, kind int) (fd int, err error) {
	n.do(func() { fd, err = newSocket(family, kind) })
	return fd, err
}

// netlink opens a routing socket; it blocks.
func (n *namespace) netlink() (link *rtnetlink, err error) {
	link = &rtnetlink{}
	n.do(func() {
		link.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	})
	return link, os.NewSyscallError("netlink", err)
}

// close ends the thread. No do may be under way or follow.
func (n *namespace) close() { close(n.work) }

// newSocket is socket(2) in the namespace of the calling thread; it closes on
// exec and does not block.
func newSocket(family, kind int) (int, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}
