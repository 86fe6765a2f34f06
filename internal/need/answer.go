package need

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Answer is for an error that nobody has better words for: what to do about an answer of
// the kernel's that means the same wherever it is given, and the line of doctor about it.
// Both are empty where it says nothing by itself.
func Answer(err error) (hint, name string) {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return "this kernel, or a filter of system calls around this process, lacks a call that rootlet takes: Linux 5.13 has all of them", Kernel
	case errors.Is(err, unix.EPERM) && filtered():
		return "a filter of system calls is around this process, and may be what refuses it: in a container, start that with --security-opt seccomp=unconfined", Kernel
	case errors.Is(err, unix.EMFILE):
		return "ulimit -n 1024   # the files that a process may have open" + soFar(unix.RLIMIT_NOFILE), TimeToStart
	case errors.Is(err, unix.EFBIG):
		return "ulimit -f unlimited   # how large a file may be, in blocks", Storage
	case errors.Is(err, unix.EAGAIN) && forks(err):
		return "ulimit -u 4096   # the processes of yours" + soFar(unix.RLIMIT_NPROC), TimeToStart
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EROFS):
		return "", Storage
	}
	return "", ""
}

// filtered says whether this process is below a filter of system calls.
func filtered() bool {
	status, _ := os.ReadFile("/proc/self/status")
	return bytes.Contains(status, []byte("\nSeccomp:\t2\n"))
}

// soFar is a remark about a limit as it is.
func soFar(resource int) string {
	var limit unix.Rlimit
	if unix.Getrlimit(resource, &limit) != nil || limit.Cur == unix.RLIM_INFINITY {
		return ""
	}
	return fmt.Sprintf(": %d now", limit.Cur)
}

// forks says whether it was a process that could not be made.
func forks(err error) bool {
	var path *os.PathError
	var call *os.SyscallError
	return errors.As(err, &path) && path.Op == "fork/exec" || errors.As(err, &call) && call.Syscall == "clone"
}
