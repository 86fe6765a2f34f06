package firstproc

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// A process enters another pid namespace only by way of a child (setns(2)), so
// that one which joins a container has to clone once more on its way. The one in
// between could leave its child to whoever started it: but a zombie whose parent
// is stopped (Ctrl-Z) keeps the whole pid namespace from ending. So it stays, in
// a session of its own, to reap the child and to say how it ended.

// Fork appends a second clone: its child walks on. The process in between keeps
// nothing but fd, a stream socket, tells the other side the child's pid, waits
// for an answer so that the pid cannot come to mean another process meanwhile,
// and then tells how the child ended. It goes on without the other side should
// that be gone.
func (p *Program) Fork(what string, fd int) {
	p.steps = append(p.steps, step{what: what, nr: forkAgain, arg: [6]uintptr{uintptr(fd)}})
}

// ForkSibling is Fork for a child that is to be the starter's own: the process in
// between says the child's pid in the same way, and leaves.
func (p *Program) ForkSibling(what string, fd int) {
	p.Fork(what, fd)
	p.steps[len(p.steps)-1].arg[1] = unix.CLONE_PARENT
}

// childMessage is the size of what the process in between says: a native 64-bit
// number.
const childMessage = 8

// Child is a process that a Fork step made, seen from the other side of its
// descriptor.
type Child struct {
	PID   int // in the pid namespace of the process that was started
	PIDFD int // the caller's to close

	socket *os.File
}

// AwaitChild hears of the child. io.EOF says that there is none: the list was
// not followed so far.
func AwaitChild(socket *os.File) (*Child, error) {
	pid, err := readNumber(socket)
	if err != nil {
		return nil, err
	}
	if pid == 0 || pid > math.MaxInt32 { // the kernel would look at the low half
		return nil, fmt.Errorf("told of process %d: %w", pid, unix.ESRCH)
	}
	c := &Child{PID: int(pid), socket: socket}
	if c.PIDFD, err = unix.PidfdOpen(c.PID, 0); err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	if _, err = socket.Write([]byte{0}); err != nil {
		unix.Close(c.PIDFD)
		return nil, err
	}
	return c, nil
}

// Wait hears how the child ended.
func (c *Child) Wait() (unix.WaitStatus, error) {
	status, err := readNumber(c.socket)
	return unix.WaitStatus(status), err
}

func readNumber(from io.Reader) (uint64, error) {
	var number [childMessage]byte
	if _, err := io.ReadFull(from, number[:]); err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(number[:]), nil
}
