package firstproc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrorFD is the descriptor, in the new process, on which it reports a failed
// step. A successful execve closes it. Steps must not touch it; closing all
// descriptors above it is theirs.
const ErrorFD = 3

// Process is a process that was started by Start and not yet waited for.
type Process struct {
	PID    int
	report *os.File
	plan   []step
}

// Start clones with the given CLONE_ flags and lets the new process walk through
// the program. The caller's thread must live as long as the process where a
// step sets a parent death signal, as that is the thread's and not the process's
// (prctl(2)). Descriptors 0 to 2 and ErrorFD of the new process: stdio as given,
// and the report pipe; all others are inherited as they are.
func Start(p *Program, flags uintptr, stdio [3]int) (*Process, error) {
	return start(p, flags, stdio, nil)
}

// StartIn is Start of a process that begins in a control group of version 2, by a
// descriptor of its directory: it is never anywhere else, and the kernel need not stop all
// forks to move it (clone3(2), CLONE_INTO_CGROUP, Linux 5.7). Where the kernel, or a
// filter of system calls that we are under, does not know the call, it is an error.
func StartIn(group int, p *Program, flags uintptr, stdio [3]int) (*Process, error) {
	return start(p, flags, stdio, &cloneArgs{
		flags: uint64(flags) | unix.CLONE_INTO_CGROUP, exitSignal: uint64(unix.SIGCHLD), cgroup: uint64(group),
	})
}

// cloneArgs is struct clone_args.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

func start(p *Program, flags uintptr, stdio [3]int, args *cloneArgs) (*Process, error) {
	r, w, err := reportPipe()
	if err != nil {
		return nil, err
	}
	defer unix.Close(w)
	pid, errno := forkAndWalk(p.steps, flags|uintptr(unix.SIGCHLD), args, stdio, w)
	p.keepAlive()
	if errno != 0 {
		unix.Close(r)
		return nil, os.NewSyscallError("clone", errno)
	}
	return &Process{PID: pid, report: os.NewFile(uintptr(r), "report"), plan: p.steps}, nil
}

// reportPipe makes the report pipe with its write end out of the way of 0 to 3.
func reportPipe() (r, w int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, fmt.Errorf("report pipe: %w", err)
	}
	w, err = unix.FcntlInt(uintptr(fds[1]), unix.F_DUPFD_CLOEXEC, 10)
	unix.Close(fds[1])
	if err != nil {
		unix.Close(fds[0])
		return 0, 0, fmt.Errorf("report pipe: %w", err)
	}
	return fds[0], w, nil
}

// Executed waits until the process has executed its program. It returns a
// *StepError where a step failed; the process still has to be waited for.
func (p *Process) Executed() error {
	defer p.report.Close()
	var report [reportSize]byte
	_, err := io.ReadFull(p.report, report[:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	index := binary.NativeEndian.Uint64(report[:])
	errno := binary.NativeEndian.Uint64(report[8:])
	if index == byTrampoline {
		index = uint64(len(p.plan) - 1)
	}
	if index >= uint64(len(p.plan)) {
		return fmt.Errorf("report names step %d of %d", index, len(p.plan))
	}
	return &StepError{Step: p.plan[index].what, Errno: syscall.Errno(errno)}
}

// byTrampoline stands in the place of a step's index: the last step, an exec,
// was successful, and what it executed, the trampoline mostly, was not.
const byTrampoline = ^uint64(0)

// reportSize is the size of a report: index of the step and its errno, each as
// a native 64-bit number.
const reportSize = 16

// Report answers for a program after KeepReport: errno is what its work failed
// with, zero that it does it. It is called once, and closes ErrorFD.
func Report(errno syscall.Errno) error {
	if errno != 0 {
		var report [reportSize]byte
		binary.NativeEndian.PutUint64(report[:], byTrampoline)
		binary.NativeEndian.PutUint64(report[8:], uint64(errno))
		if _, err := unix.Write(ErrorFD, report[:]); err != nil {
			return err
		}
	}
	return unix.Close(ErrorFD)
}

// The hooks that package syscall itself uses around a fork: they block signals,
// forbid stack growth, and reset handlers in the child. Go 1.23 keeps exactly
// these three open to linkname, for gVisor, which does the same.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// forkAndWalk clones and, in the child, makes the calls. The child is a copy of
// one thread of a Go program: it must not grow its stack, allocate, take a lock
// or call anything but raw system calls, so all of it is this one function.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkAndWalk(steps []step, flags uintptr, args *cloneArgs, stdio [3]int, report int) (int, syscall.Errno) {
	var (
		r1, saved uintptr
		errno     syscall.Errno
		i, k      int
		s         *step
		message   [2]uint64
		status    uint32
	)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.ForkLock.Lock()
	beforeFork()
	if args != nil {
		r1, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	} else {
		r1, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	}
	if errno != 0 || r1 != 0 {
		afterFork()
		syscall.ForkLock.Unlock()
		return int(r1), errno
	}
	afterForkInChild()

	for k = 0; k < 3; k++ {
		// dup3 refuses equal descriptors; the caller keeps stdio above 3.
		_, _, errno = syscall.RawSyscall(syscall.SYS_DUP3, uintptr(stdio[k]), uintptr(k), 0)
		if errno != 0 {
			goto exit
		}
	}
	_, _, errno = syscall.RawSyscall(syscall.SYS_DUP3, uintptr(report), ErrorFD, syscall.O_CLOEXEC)
	if errno != 0 {
		goto exit
	}
	for i = 0; i < len(steps); i++ {
		s = &steps[i]
		if s.nr == expectField {
			errno = 0
			if *s.at&uint32(s.arg[1]) != uint32(s.arg[0]) {
				errno = syscall.ESTALE
			}
		} else if s.nr == forkAgain {
			r1, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(unix.SIGCHLD)|s.arg[1], 0, 0, 0, 0, 0)
			if errno == 0 && r1 != 0 {
				goto between
			}
		} else if s.nr == passOver {
			errno = 0
			i += int(s.arg[0])
		} else {
			if s.useSaved {
				s.arg[0] = saved
			}
			for {
				r1, _, errno = syscall.RawSyscall6(s.nr, s.arg[0], s.arg[1], s.arg[2], s.arg[3], s.arg[4], s.arg[5])
				if errno != syscall.EINTR {
					break
				}
			}
			if errno == 0 && r1 < s.atLeast {
				errno = syscall.EPIPE
			}
			if s.save {
				saved = r1
			}
		}
		if errno != 0 && errno != s.tolerate[0] && errno != s.tolerate[1] && errno != s.tolerate[2] && errno != s.tolerate[3] {
			message[0], message[1] = uint64(i), uint64(errno)
			syscall.RawSyscall(syscall.SYS_WRITE, ErrorFD, uintptr(unsafe.Pointer(&message)), reportSize)
			break
		}
		if errno != 0 {
			i += s.skip
		}
	}
exit:
	syscall.RawSyscall(syscall.SYS_EXIT_GROUP, exitStep, 0, 0)
	trap() // a filter of system calls may refuse even that

between:
	// See Fork. Whatever fails here, the child is not to be left unreaped; a sibling is
	// not this one's to wait for, which the kernel says at once (ECHILD).
	syscall.RawSyscall(syscall.SYS_DUP3, s.arg[0], 0, 0)
	_, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 1, ^uintptr(0), 0)
	for k = 1; errno != 0 && k < fewDescriptors; k++ {
		syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(k), 0, 0)
	}
	message[0], message[1] = uint64(r1), 0
	syscall.RawSyscall6(syscall.SYS_SENDTO, 0, uintptr(unsafe.Pointer(&message)), childMessage, unix.MSG_NOSIGNAL, 0, 0)
	syscall.RawSyscall(syscall.SYS_READ, 0, uintptr(unsafe.Pointer(&message[1])), 1)
	for {
		_, _, errno = syscall.RawSyscall6(syscall.SYS_WAIT4, r1, uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		if errno != syscall.EINTR {
			break
		}
	}
	message[0] = uint64(status)
	syscall.RawSyscall6(syscall.SYS_SENDTO, 0, uintptr(unsafe.Pointer(&message)), childMessage, unix.MSG_NOSIGNAL, 0, 0)
	syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	trap()
	return 0, 0
}

// trap ends the process by a signal. It needs no system call.
func trap()

// fewDescriptors is how many a program has closed before it forks again, at
// most, where the kernel has no close_range(2): Linux before 5.9.
const fewDescriptors = 256

// exitStep is the exit status of a process whose step failed; nothing reads it,
// as the report says more.
const exitStep = 125
