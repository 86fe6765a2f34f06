package builtin

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A splice joins a connection of the container with one of the host. Bytes are
// copied once in each direction: by write(2) out of the buffers in which they came
// from the tap, and by read(2) into those that go there.
type splice struct {
	from  netip.Addr // the container
	ep    tcpip.Endpoint
	queue *waiter.Queue
	host  *net.TCPConn
	// uploaded says that the container has sent its last byte, and the host has it.
	uploaded atomic.Bool
	once     sync.Once
}

var errReset = errors.New("connection reset")

// run copies until both directions have ended, or one failed.
func (p *splice) run(spawn func(func())) {
	watch := waiter.NewFunctionEntry(waiter.EventHUp|waiter.EventErr, p.hangup)
	p.queue.EventRegister(&watch)
	defer p.queue.EventUnregister(&watch)
	up := make(chan struct{})
	spawn(func() {
		defer close(up)
		p.check(p.upload())
	})
	p.check(p.download())
	<-up
}

// hangup is called when the container's end is over. After a reset nobody may be
// left who reads from it: the half that waits for the host is woken. A connection
// that was reset when it was half closed is merely closed to gvisor, as is one that
// ended well and has bytes left for upload.
func (p *splice) hangup(waiter.EventMask) {
	switch tcp.EndpointState(p.ep.State()) {
	case tcp.StateError:
		_ = p.host.SetDeadline(past)
	case tcp.StateClose:
		if p.uploaded.Load() {
			_ = p.host.SetDeadline(past)
		}
	}
}

func (p *splice) check(err error) {
	if err != nil {
		p.abort()
	}
}

// abort resets both ends.
func (p *splice) abort() {
	p.once.Do(func() {
		p.ep.Abort()
		if p.host != nil {
			_ = p.host.SetLinger(0)
			_ = p.host.SetDeadline(past)
		}
	})
}

func (p *splice) close() {
	p.ep.Close()
	if p.host != nil {
		_ = p.host.Close()
	}
}

// upload copies from the container to the host.
func (p *splice) upload() error {
	raw, err := p.host.SyscallConn()
	if err != nil {
		return err
	}
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	p.queue.EventRegister(&entry)
	defer p.queue.EventUnregister(&entry)
	var out fdWriter
	for {
		var end tcpip.Error
		err := raw.Write(func(fd uintptr) bool {
			out = fdWriter{fd: int(fd)}
			_, end = p.ep.Read(&out, tcpip.ReadOptions{})
			return !out.full
		})
		if err := errors.Join(err, out.err); err != nil {
			return err
		}
		switch end.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-ready
		case *tcpip.ErrClosedForReceive:
			p.uploaded.Store(true)
			return p.host.CloseWrite()
		default:
			return errReset
		}
	}
}

// An fdWriter writes what a socket takes without waiting.
type fdWriter struct {
	fd   int
	full bool
	err  error
}

// Write returns an error with what could not be written, as io.Writer asks.
func (w *fdWriter) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(w.fd, b[done:])
		switch {
		case err == unix.EAGAIN:
			w.full = true
			return done, err
		case err == unix.EINTR:
		case err != nil:
			w.err = err
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

// download copies from the host to the container.
func (p *splice) download() error {
	raw, err := p.host.SyscallConn()
	if err != nil {
		return err
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	p.queue.EventRegister(&entry)
	defer p.queue.EventUnregister(&entry)
	in := &fdPayload{}
	for {
		var end tcpip.Error
		var fault error
		err := raw.Read(func(fd uintptr) bool {
			in.fd = int(fd)
			if in.size, fault = queued(in.fd); fault == unix.EAGAIN {
				fault = nil
				return false
			}
			if fault == nil {
				_, end = p.ep.Write(in, tcpip.WriteOptions{})
			}
			return true
		})
		switch {
		case err != nil:
			return err
		case fault == io.EOF:
			if err := p.ep.Shutdown(tcpip.ShutdownWrite); err != nil {
				return errReset
			}
			return nil
		case fault != nil:
			return fault
		}
		switch end.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-ready
		default:
			return errReset
		}
	}
}

// queued is how many bytes a socket has to read: the stack must be told before it
// reads, and makes its buffer to measure.
func queued(fd int) (int, error) {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil || n > 0 {
		return n, err
	}
	// Nothing, or the end? A byte that came meanwhile stays.
	var b [1]byte
	switch n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK); {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return 1, nil
}

// An fdPayload lets the stack read size bytes that wait in a socket.
type fdPayload struct{ fd, size int }

// Len is how many there are.
func (r *fdPayload) Len() int { return r.size }

// Read reads them; less than there were is an error, for the stack would ask for
// the rest without end.
func (r *fdPayload) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := unix.Read(r.fd, b)
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return max(n, 0), err
}
