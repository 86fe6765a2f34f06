package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reaper is the stage of --init: pid 1 of a container, which runs the user's
// program as its child, passes signals on to it, and reaps what others leave
// behind. It was executed from a sealed copy of rootlet, with the rights of the
// program and no more; its arguments are the program's.
func Reaper(argv []string) int {
	if len(argv) == 0 || os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "rootlet-init is pid 1 of a container, and started by rootlet")
		return codeEngine
	}
	// Signals are caught before there is a child to miss one. They were held back
	// until now, and must not be for the child, which inherits the mask of this
	// thread; main has locked us to it.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil); err != nil {
		return cannotRun(argv[0], err)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return cannotRun(argv[0], err)
	}
	child, err := os.StartProcess(path, argv, &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return cannotRun(argv[0], err)
	}
	go forward(signals, child.Pid)
	return reap(child.Pid)
}

// cannotRun prints what the client prints where there is no --init: by now the
// client knows only that the container started.
func cannotRun(command string, err error) int {
	if errors.Is(err, exec.ErrNotFound) {
		err = errNotInPath
	}
	fmt.Fprintf(os.Stderr, "rootlet: error: %v\n", errNotStarted(command, err))
	if errors.Is(err, errNotInPath) || errors.Is(err, fs.ErrNotExist) {
		return codeNotFound
	}
	return codeCannotInvoke
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
