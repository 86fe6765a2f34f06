package emulation

import (
	"errors"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif (seccomp_unotify(2)).
type notification struct {
	id    uint64
	pid   uint32 // a thread's, as this process numbers it; 0: it is not to be seen
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// receiver is one who answers calls, one at a time.
type receiver struct {
	*listener
	in   notification
	out  response
	text [unix.PathMax]byte // the path of the call
	attr [maxAttr]byte
}

func newReceiver(l *listener) *receiver { return &receiver{listener: l} }

// next waits for a call.
func (r *receiver) next() error {
	if !r.wakes {
		r.turn.Lock()
		defer r.turn.Unlock()
	}
	for {
		if !r.wakes && !r.awaited() {
			return unix.ENOENT
		}
		r.in = notification{} // the kernel wants it so
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&r.in)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOENT:
			// Whoever asked has been killed, or there is nobody left (Linux 6.11).
			if r.poll(0)&unix.POLLHUP != 0 {
				return errno
			}
		default:
			return errno
		}
	}
}

// awaited waits until there is a call, or nobody left to make one: a kernel that has no
// word for the latter would let RECV wait for ever.
func (r *receiver) awaited() bool {
	for {
		switch events := r.poll(-1); {
		case events&unix.POLLIN != 0:
			return true
		case events&unix.POLLHUP != 0:
			return false
		}
	}
}

func (r *receiver) poll(timeout int) int16 {
	poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, timeout); err != nil {
		return 0
	}
	return poll[0].Revents
}

// errKernel has the kernel make the call after all.
var errKernel = errors.New("the kernel's")

// answer answers the call that has come.
func (r *receiver) answer() {
	r.out = response{id: r.in.id}
	val, err := r.decide()
	var errno unix.Errno
	switch {
	case err == nil:
		r.out.val = val
	case errors.As(err, &errno):
		r.out.errno = -int32(errno)
	default:
		r.out.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	// Who has asked may be dead by now (ENOENT).
	_, _, _ = unix.RawSyscall(unix.SYS_IOCTL, uintptr(r.fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r.out)))
}

// decide is what the call returns; errKernel leaves it to the kernel.
func (r *receiver) decide() (int64, error) {
	c, known := r.numbers[r.in.nr]
	if !known || r.in.pid == 0 {
		return 0, errKernel
	}
	return c(r, r.in.args)
}

// valid says that the call still waits for its answer: so that its process is the one that
// had its number all the time since it asked.
func (r *receiver) valid() error {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(r.fd), unix.SECCOMP_IOCTL_NOTIF_ID_VALID, uintptr(unsafe.Pointer(&r.in.id)))
	if errno != 0 {
		return errKernel // to whom this is no answer any more
	}
	return nil
}

// read fills to from the memory of who asks. Another thread of his may change it at any
// time: it is read once.
func (r *receiver) read(at uint64, to []byte) error {
	if len(to) == 0 {
		return nil
	}
	local := unix.Iovec{Base: &to[0]}
	local.SetLen(len(to))
	remote := unix.RemoteIovec{Base: uintptr(at), Len: len(to)}
	n, _, errno := unix.RawSyscall6(unix.SYS_PROCESS_VM_READV, uintptr(r.in.pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	runtime.KeepAlive(to)
	if errno != 0 || int(n) != len(to) {
		return unix.EFAULT
	}
	return nil
}

// path reads a path: no more than the kernel would, and no page behind its end.
func (r *receiver) path(at uint64) (string, error) {
	const page = 4096 // or a part of one
	for n := 0; n < len(r.text); {
		part := r.text[n:min(len(r.text), n+page-int((at+uint64(n))%page))]
		if err := r.read(at+uint64(n), part); err != nil {
			return "", err
		}
		for i, b := range part {
			if b == 0 {
				return string(r.text[:n+i]), nil
			}
		}
		n += len(part)
	}
	return "", unix.ENAMETOOLONG
}

// write puts an answer into the memory of who asks, and of nobody else: the descriptor
// stands for his memory from before the call was found to wait still.
func (r *receiver) write(at uint64, b []byte) error {
	memory, err := unix.Openat(r.proc, r.file("mem"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return errKernel
	}
	defer unix.Close(memory)
	if err := r.valid(); err != nil {
		return err
	}
	if n, err := unix.Pwrite(memory, b, int64(at)); err != nil || n != len(b) {
		return unix.EFAULT
	}
	return nil
}

// file names what /proc has of who asks, from the working directory.
func (r *receiver) file(name string) string { return strconv.Itoa(int(r.in.pid)) + "/" + name }
