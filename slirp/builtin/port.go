package builtin

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A port is a container's tap.
type port struct {
	tap     *os.File
	raw     syscall.RawConn
	fd      int
	vnet    bool // each frame has a virtio_net_hdr before it
	stopped atomic.Bool
	member  Member // of a Switch
}

func newPort(tap *os.File) (*port, error) {
	tap, err := pollable(tap)
	if err != nil {
		return nil, err
	}
	p := &port{tap: tap}
	var askErr error
	if p.raw, err = tap.SyscallConn(); err == nil {
		err = p.raw.Control(func(fd uintptr) {
			p.fd = int(fd)
			p.vnet, askErr = vnetHeader(p.fd)
		})
	}
	if err = errors.Join(err, askErr); err != nil {
		_ = tap.Close()
		return nil, fmt.Errorf("use the tap: %w", err)
	}
	return p, nil
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

// run reads frames until stop, or until the device is gone. A frame of n bytes is
// in the reader while take has it.
func (p *port) run(take func(in *frameReader, n int)) error {
	in := newFrameReader(p.vnet)
	defer func() { in.view.Release() }() // not the view of now, which the stack may have by then
	var fault error
	err := p.raw.Read(func(fd uintptr) bool {
		for !p.stopped.Load() {
			n, errno := in.read(fd)
			switch {
			case errno == unix.EAGAIN:
				return false
			case errno == unix.EINTR:
			case errno != 0:
				// EBADFD: the network namespace is gone, and the device with it.
				fault = fmt.Errorf("read from the tap: %w", errno)
				return true
			case n > in.headers():
				take(in, n)
			}
		}
		return true
	})
	switch {
	case p.stopped.Load():
		return nil
	case fault == nil && err != nil:
		if errno := p.lastWord(in); errno != 0 {
			err = fmt.Errorf("read from the tap: %w", errno)
		}
	}
	return firstError(fault, err)
}

// lastWord is what becomes of a device that went while it was waited for: to the runtime
// that is one that cannot be polled, and it is so a moment before reads tell more.
func (p *port) lastWord(in *frameReader) (errno syscall.Errno) {
	const tries, pause = 50, 2 * time.Millisecond
	_ = p.raw.Control(func(fd uintptr) {
		for range tries {
			if _, errno = in.read(fd); errno != unix.EAGAIN {
				return
			}
			time.Sleep(pause)
		}
	})
	return errno
}

// stop makes run return.
func (p *port) stop() {
	p.stopped.Store(true)
	_ = p.tap.SetReadDeadline(past)
}

func (p *port) close() { _ = p.tap.Close() }

// part is a piece of a frame that is gathered from where its pieces are.
func part(b []byte) unix.Iovec {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return v
}

const maxIovecs = 1024 // UIO_MAXIOV

// send puts a frame on the wire. Not raw: the kernel may hand it to the container's
// socket at once. What the device does not take is lost, as on any wire.
func (p *port) send(frame []unix.Iovec) {
	_, _, _ = unix.Syscall(unix.SYS_WRITEV, uintptr(p.fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
}
