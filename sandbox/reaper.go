package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
)

// Reaper is the stage of --init: pid 1 of a container, which runs the user's
// program as its child, passes signals on to it, and reaps what others leave
// behind. It was executed from a sealed copy of rootlet, with the rights of the
// program and no more; its arguments are the program's.
//
// The monitor waits for its report, and until then sends no signal: the Go
// runtime would lose one, or die of it, before there is a handler.
func Reaper(argv []string) int {
	if len(argv) == 0 || os.Getpid() != 1 {
		return codeEngine
	}
	unix.CloseOnExec(firstproc.ErrorFD)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	child, err := startChild(argv)
	if err != nil {
		_ = firstproc.Report(errnoOf(err))
		return codeEngine
	}
	go forward(signals, child)
	if err := firstproc.Report(0); err != nil {
		return codeEngine
	}
	return reap(child)
}

func startChild(argv []string) (int, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, err
	}
	child, err := os.StartProcess(path, argv, &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, err
	}
	return child.Pid, nil
}

// errnoOf is what execve(2) would have answered.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, fs.ErrPermission):
		return unix.EACCES
	}
	return unix.ENOENT
}

// forward passes on every signal but those that are about pid 1 itself: the end
// of a child, the Go scheduler's own, and what a terminal stops a reader with.
func forward(signals <-chan os.Signal, child int) {
	for s := range signals {
		switch s {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGTTIN, unix.SIGTTOU:
		default:
			_ = unix.Kill(child, s.(syscall.Signal))
		}
	}
}

// reap waits for all children until the one that counts has ended; the kernel
// kills the rest of the pid namespace when we end.
func reap(child int) int {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return codeEngine
		case pid != child:
		case status.Signaled():
			return codeSignal + int(status.Signal())
		case status.Exited():
			return status.ExitStatus()
		}
	}
}
