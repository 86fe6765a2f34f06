package firstproc

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sockets is a pair of them, the second with a number out of the way.
func sockets(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	high, err := unix.FcntlInt(uintptr(fds[1]), unix.F_DUPFD_CLOEXEC, 16)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[1])
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(high), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// forking starts sh -c script by way of a process in between.
func forking(t *testing.T, script string) (*Process, *os.File) {
	t.Helper()
	ours, theirs := sockets(t)
	var p Program
	p.Fork("fork", int(theirs.Fd()))
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/sh"}, []string{"sh", "-c", script}, nil)
	proc, err := Start(&p, 0, stdio(t))
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = syscall.Wait4(proc.PID, nil, 0, nil) })
	return proc, ours
}

func TestForkTellsOfTheChildAndHowItEnds(t *testing.T) {
	for script, want := range map[string]unix.WaitStatus{"exit 7": 7 << 8, "kill -9 $$": 9} {
		proc, socket := forking(t, script)
		child, err := AwaitChild(socket)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(child.PIDFD)
		if child.PID == proc.PID || child.PID <= 1 {
			t.Errorf("child is %d, of %d", child.PID, proc.PID)
		}
		if err := proc.Executed(); err != nil {
			t.Error(err)
		}
		if status, err := child.Wait(); err != nil || status != want {
			t.Errorf("%s: status %#x, %v; want %#x", script, status, err, want)
		}
	}
}

func TestTheChildCanBeSignalled(t *testing.T) {
	_, socket := forking(t, "sleep 60")
	child, err := AwaitChild(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child.PIDFD)
	if err := unix.PidfdSendSignal(child.PIDFD, unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	if status, err := child.Wait(); err != nil || status.Signal() != unix.SIGTERM {
		t.Errorf("status %#x, %v", status, err)
	}
}

// The one in between reaps the child with nobody there to listen.
func TestTheChildIsReapedWithoutUs(t *testing.T) {
	proc, socket := forking(t, "exit 3")
	socket.Close()
	if err := proc.Executed(); err != nil {
		t.Error(err)
	}
}

func TestNoChildWithoutTheStepsBefore(t *testing.T) {
	ours, theirs := sockets(t)
	var p Program
	p.Call("fail", unix.SYS_CHDIR, []uintptr{p.String("/nonexistent")})
	p.Fork("fork", int(theirs.Fd()))
	proc, err := Start(&p, 0, stdio(t))
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Wait4(proc.PID, nil, 0, nil) //nolint:errcheck // it is gone either way
	if _, err := AwaitChild(ours); !errors.Is(err, io.EOF) {
		t.Errorf("child: %v, want EOF", err)
	}
	var failed *StepError
	if err := proc.Executed(); !errors.As(err, &failed) || failed.Step != "fail" {
		t.Errorf("got %v, want the step fail", err)
	}
}

func TestExpectLooksAtWhatACallHasStored(t *testing.T) {
	for _, c := range []struct {
		path string
		want error
	}{{"/dev/null", nil}, {"/etc/passwd", syscall.ESTALE}} {
		st := new(unix.Stat_t)
		var p Program
		p.Call("open", unix.SYS_OPENAT, []uintptr{0, p.String(c.path), unix.O_RDONLY})
		p.SaveResult()
		p.CallSaved("stat", unix.SYS_FSTAT, []uintptr{Pointer(&p, st)})
		p.Expect("look", &st.Mode, unix.S_IFCHR, unix.S_IFMT)
		p.KeepReport()
		p.Exec("exec", trampolineFD(t), []string{"/bin/true"}, []string{"true"}, nil)
		if _, err := run(t, &p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.path, err, c.want)
		}
	}
}

func TestASiblingIsItsStartersToWaitFor(t *testing.T) {
	ours, theirs := sockets(t)
	var p Program
	p.ForkSibling("fork", int(theirs.Fd()))
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/sh"}, []string{"sh", "-c", "exit 7"}, nil)
	proc, err := Start(&p, 0, stdio(t))
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	child, err := AwaitChild(ours)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(child.PIDFD)
	if _, err := unix.Wait4(proc.PID, nil, 0, nil); err != nil {
		t.Errorf("the one in between: %v", err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(child.PID, &status, 0, nil); err != nil || status.ExitStatus() != 7 {
		t.Errorf("its sibling: %v, %v", status, err)
	}
	if err := proc.Executed(); err != nil {
		t.Error(err)
	}
}
