package integration

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// measureKey names the variable with the file that a measured command's memory is
// written to. A test binary that finds it set is no test, but the parent of the
// command in its arguments: what the kernel tells of a child counts from its
// fork, and a child of the tests themselves would begin with their memory.
const measureKey = "ROOTLET_TEST_MEASURE"

// measure runs the command and all that it leaves behind to their end, and says
// how much memory the largest of these processes has had (getrusage(2), maxrss).
func measure(report string) int {
	runtime.LockOSThread() // the death signal is that of the thread
	_ = os.Unsetenv(measureKey)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_ = cmd.Run()
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			break
		}
	}
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &usage)
	if err := os.WriteFile(report, strconv.AppendInt(nil, usage.Maxrss, 10), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if cmd.ProcessState == nil {
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// measured has the command's memory written to a report.
func measured(t *testing.T, c *exec.Cmd, report string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Path, c.Args = self, append([]string{self, rootlet}, c.Args[1:]...)
	c.Env = append(slices.Clone(c.Env), measureKey+"="+report)
}

// readMeasure reads a report, in bytes, and takes it away.
func readMeasure(t *testing.T, report string) int64 {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("the command did not end: %v", err)
		return 0
	}
	_ = os.Remove(report)
	kilobytes, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		t.Error(err)
	}
	return kilobytes << 10
}
