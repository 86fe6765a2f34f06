package firstproc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stdio gives the new process /dev/null three times, above the report pipe.
func stdio(t *testing.T) [3]int {
	t.Helper()
	fd, err := unix.FcntlInt(openNull(t).Fd(), unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return [3]int{fd, fd, fd}
}

func openNull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func trampolineFD(t *testing.T) int {
	t.Helper()
	f, err := Trampoline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// run walks p in a new process and returns its exit status and its error.
func run(t *testing.T, p *Program) (int, error) {
	t.Helper()
	proc, err := Start(p, 0, stdio(t))
	if err != nil {
		t.Fatal(err)
	}
	failure := proc.Executed()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(proc.PID, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return status.ExitStatus(), failure
}

func TestExecRunsTheFirstCandidateThatIsThere(t *testing.T) {
	var p Program
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/nonexistent/sh", "/etc/passwd/sh", "/bin/sh"}, []string{"sh", "-c", "exit $CODE"}, []string{"CODE=7"})
	if code, err := run(t, &p); err != nil || code != 7 {
		t.Fatalf("exit %d, %v; want 7 and no error", code, err)
	}
}

func TestExecAnswersAsExecvp(t *testing.T) {
	for _, c := range []struct {
		paths []string
		want  syscall.Errno
	}{
		{[]string{"/nonexistent"}, syscall.ENOENT},
		{[]string{"/etc/passwd", "/nonexistent"}, syscall.EACCES},
		{nil, syscall.ENOENT},
	} {
		var p Program
		p.KeepReport()
		p.Exec("exec it", trampolineFD(t), c.paths, []string{"x"}, nil)
		_, err := run(t, &p)
		var failed *StepError
		if !errors.As(err, &failed) || failed.Errno != c.want || failed.Step != "exec it" {
			t.Errorf("%v: got %v, want %v at step exec it", c.paths, err, c.want)
		}
	}
}

func TestTheProgramNeverSeesTheBinaryThatStartedIt(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/proc/self/exe", script} {
		var p Program
		p.KeepReport()
		p.Exec("exec", trampolineFD(t), []string{path}, []string{path}, nil)
		// Executed again, the trampoline finds no path and nobody to report to.
		if code, err := run(t, &p); code != 126 || err != nil {
			t.Errorf("%s: exit %d, %v; want 126", path, code, err)
		}
	}
	var p Program
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/sh"}, []string{"sh", "-c", `test "$0" = zero && test -z "$1" && test "$2" = two`, "zero", "", "two"}, []string{"PATH=/bin"})
	if code, err := run(t, &p); err != nil || code != 0 {
		t.Errorf("arguments do not arrive: exit %d, %v", code, err)
	}
}

func TestAFailedStepStopsTheList(t *testing.T) {
	var p Program
	p.Call("go nowhere", unix.SYS_CHDIR, []uintptr{p.String("/nonexistent")})
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/true"}, []string{"true"}, nil)
	code, err := run(t, &p)
	if err == nil || err.Error() != "go nowhere: no such file or directory" || code != exitStep {
		t.Fatalf("exit %d, error %v", code, err)
	}
}

func TestAToleratedErrorDoesNot(t *testing.T) {
	var p Program
	p.Call("go nowhere", unix.SYS_CHDIR, []uintptr{p.String("/nonexistent")}, syscall.ENOENT)
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/true"}, []string{"true"}, nil)
	if code, err := run(t, &p); err != nil || code != 0 {
		t.Fatalf("exit %d, error %v", code, err)
	}
}

// A list goes on with what a call's outcome asks for, and errors name the step that failed.
func TestIfDone(t *testing.T) {
	for _, c := range []struct {
		dir, want string
	}{
		{"/", "not to be done: no such file or directory"},
		{"/nonexistent", "not to be done otherwise: no such file or directory"},
		{"/etc/passwd", "go: not a directory"},
	} {
		var p Program
		gone := func(what string) { p.Call(what, unix.SYS_CHDIR, []uintptr{p.String("/nonexistent")}) }
		p.Call("go", unix.SYS_CHDIR, []uintptr{p.String(c.dir)}, syscall.ENOENT)
		p.IfDone(func() {
			p.Call("done", unix.SYS_CHDIR, []uintptr{p.String("/nowhere")}, syscall.ENOENT)
			p.IfDone(func() { gone("inner") }, func() {})
			gone("not to be done")
		}, func() { gone("not to be done otherwise") })
		gone("after")
		if _, err := run(t, &p); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.dir, err, c.want)
		}
	}
	var p Program
	p.Call("go", unix.SYS_CHDIR, []uintptr{p.String("/nonexistent")}, syscall.ENOENT)
	p.IfDone(func() { p.Call("not", unix.SYS_CHDIR, []uintptr{p.String("/nonexistent")}) }, func() {})
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/true"}, []string{"true"}, nil)
	if code, err := run(t, &p); err != nil || code != 0 {
		t.Fatalf("exit %d, error %v", code, err)
	}
}

func TestSavedResultAndCwd(t *testing.T) {
	var p Program
	p.Call("open", unix.SYS_OPENAT, []uintptr{uintptr(1<<64 - 100), p.String("/tmp"), unix.O_RDONLY | unix.O_DIRECTORY})
	p.SaveResult()
	p.CallSaved("enter", unix.SYS_FCHDIR, nil)
	p.ExpectAbsoluteCwd("look")
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/sh"}, []string{"sh", "-c", `test "$(pwd)" = /tmp`}, []string{"PATH=/bin"})
	if code, err := run(t, &p); err != nil || code != 0 {
		t.Fatalf("exit %d, error %v", code, err)
	}
}

func TestAwaitFailsWhenTheOtherSideIsGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer r.Close()
	var p Program
	p.Await("wait for the go", int(r.Fd()))
	if _, err := run(t, &p); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("got %v, want EPIPE", err)
	}
}

func TestTellIsHeard(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var p Program
	p.Tell("tell", int(w.Fd()), 'x')
	p.KeepReport()
	p.Exec("exec", trampolineFD(t), []string{"/bin/true"}, []string{"true"}, nil)
	if _, err := run(t, &p); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var b [2]byte
	if n, _ := r.Read(b[:]); n != 1 || b[0] != 'x' {
		t.Fatalf("heard %q", b[:n])
	}
}

func TestPlanNamesTheSteps(t *testing.T) {
	var p Program
	p.Call("one", unix.SYS_GETPID, nil)
	p.Exec("two", 9, nil, nil, nil)
	if got := strings.Fields(p.Plan()); len(got) < 2 || got[0] != "one" || got[len(got)-1] != "two" {
		t.Fatalf("plan %q", got)
	}
}

// A filter of system calls may refuse even exit_group(2).
func TestAProcessThatMayNotEvenExit(t *testing.T) {
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	filter := &unix.SockFprog{Len: 1, Filter: &refuse}
	var p Program
	p.Call("set no_new_privs", unix.SYS_PRCTL, []uintptr{unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0})
	p.Call("load the filter", unix.SYS_SECCOMP, []uintptr{unix.SECCOMP_SET_MODE_FILTER, 0, Pointer(&p, filter)})
	p.Exec("exec", trampolineFD(t), []string{"/bin/true"}, []string{"true"}, nil)
	// A status of -1 is that of a process which a signal has ended.
	if status, err := run(t, &p); status != -1 || err != nil {
		t.Fatalf("exit status %d, %v", status, err)
	}
}
