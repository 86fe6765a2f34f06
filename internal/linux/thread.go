package linux

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// OwnThread makes a thread that calls one function, which may change what is a thread's
// own, such as its namespaces. It is never unlocked: it ends with its goroutine, so that no
// other runs where it went. A process that must not lose its first thread keeps that locked.
func OwnThread() func(f func() error) error {
	asked, done := make(chan func() error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- (<-asked)()
	}()
	return func(f func() error) error {
		asked <- f
		return <-done
	}
}

// InNetwork has f run on a thread of its own in a network namespace (setns(2)). The caller
// needs CAP_SYS_ADMIN in its own user namespace and in the one that owns it.
func InNetwork(netns int, f func() error) error {
	return OwnThread()(func() error {
		if err := EnterNetwork(netns); err != nil {
			return err
		}
		return f()
	})
}

// EnterNetwork moves the calling thread into a network namespace.
func EnterNetwork(netns int) error {
	if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	return nil
}
