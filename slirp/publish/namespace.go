package publish

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace makes sockets in the container's network namespace.
type namespace struct {
	work chan func()
}

// join starts the thread that lives in a network namespace (setns(2) moves one
// thread alone). It ends with close.
func join(netns *os.File) (*namespace, error) {
	n := &namespace{work: make(chan func())}
	joined := make(chan error)
	go n.run(netns, joined)
	return n, <-joined
}

func (n *namespace) run(netns *os.File, joined chan error) {
	// Never unlocked: the runtime ends the thread with this goroutine, and nothing
	// else ever runs in the container's network.
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// Not the first thread: it cannot end, and /proc/PID is what it says it is.
		// While it is held here, another goroutine gets another.
		done := make(chan error)
		go n.run(netns, done)
		err := <-done
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
	for f := range n.work {
		f()
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// do runs f in the namespace and waits for it. It must be short.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { f(); close(done) }
	<-done
}

// socket is socket(2) in the namespace; it closes on exec and does not block.
func (n *namespace) socket(family, kind, protocol int) (fd int, err error) {
	n.do(func() { fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol) })
	return fd, os.NewSyscallError("socket", err)
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
