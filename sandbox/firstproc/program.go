// Package firstproc starts a process from a raw clone and walks it through a
// straight list of system calls that ends in execve.
//
// It is how the first process of a container comes to be, and how one joins a
// container later: that takes a second clone on the way (child.go). No Go code runs in the new process: a Go program cannot
// change its user namespace once the runtime has started its threads, and a
// second start of this binary would cost 2 to 3 ms and put a readable copy of
// rootlet into the container. The list is plain data, built by package sandbox
// (checklist.go and joining.go have it, with the reason for every step), so a test
// can read it and a failure names its step.
//
// Nothing here knows what a container is. The caller is the monitor, in U1, or a
// command of the user's.
package firstproc

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// step is one system call of the new process.
type step struct {
	what     string  // for the error message: "mount proc"
	nr       uintptr // system call number, or one of those below
	arg      [6]uintptr
	tolerate [4]syscall.Errno // errors after which the list goes on
	atLeast  uintptr          // a smaller result is a failure too
	save     bool             // keep the result ...
	useSaved bool             // ... and pass it as the first argument here
	at       *uint32          // what expectField looks at
	skip     int              // so many steps are passed over after a tolerated error
}

// What a step can be besides a system call.
const (
	// expectField calls nothing: it fails with ESTALE unless the number at
	// step.at is arg[0] in the bits of arg[1].
	expectField = ^uintptr(0)
	// forkAgain has a child of this process go on with the list. This one stays
	// behind, with nothing but the descriptor arg[0]; arg[1] are flags of the clone.
	forkAgain = ^uintptr(1)
	// passOver calls nothing: the next arg[0] steps are left out.
	passOver = ^uintptr(2)
)

// Program is a list of steps under construction. The zero value is empty.
type Program struct {
	steps []step
	keep  []any // what the steps point to
}

// Call appends a system call. The process ends with an error that names what
// where the call fails with anything but the tolerated errors (at most four).
func (p *Program) Call(what string, nr uintptr, args []uintptr, tolerate ...syscall.Errno) {
	s := step{what: what, nr: nr}
	copy(s.arg[:], args)
	copy(s.tolerate[:], tolerate)
	p.steps = append(p.steps, s)
}

// CallSaved is Call with the result of the last SaveResult call put before args.
func (p *Program) CallSaved(what string, nr uintptr, args []uintptr, tolerate ...syscall.Errno) {
	p.Call(what, nr, append([]uintptr{0}, args...), tolerate...)
	p.steps[len(p.steps)-1].useSaved = true
}

// IfDone goes on, after the call appended last, with the steps that done appends; where
// that call has failed with a tolerated error, with those of otherwise.
func (p *Program) IfDone(done, otherwise func()) {
	call := len(p.steps) - 1
	done()
	p.steps = append(p.steps, step{what: p.steps[call].what + ", or else", nr: passOver})
	end := len(p.steps) - 1
	p.steps[call].skip = end - call
	otherwise()
	p.steps[end].arg[0] = uintptr(len(p.steps) - 1 - end)
}

// SaveResult keeps the result of the call appended last for CallSaved.
func (p *Program) SaveResult() { p.steps[len(p.steps)-1].save = true }

// Tell writes the byte b to fd, for the other side to wait on.
func (p *Program) Tell(what string, fd int, b byte) {
	buf := &[1]byte{b}
	p.keep = append(p.keep, buf)
	p.Call(what, unix.SYS_WRITE, []uintptr{uintptr(fd), uintptr(unsafe.Pointer(buf)), 1})
	p.steps[len(p.steps)-1].atLeast = 1
}

// Await reads one byte from fd. End of file is a failure: the other side died.
func (p *Program) Await(what string, fd int) {
	buf := new([1]byte)
	p.keep = append(p.keep, buf)
	p.Call(what, unix.SYS_READ, []uintptr{uintptr(fd), uintptr(unsafe.Pointer(buf)), 1})
	p.steps[len(p.steps)-1].atLeast = 1
}

// ExpectAbsoluteCwd fails where getcwd(2) does not answer with an absolute path,
// as it does in a directory outside the root: "(unreachable)" (CVE-2024-21626).
func (p *Program) ExpectAbsoluteCwd(what string) {
	buf := new([unix.PathMax]byte)
	p.keep = append(p.keep, buf)
	at := uintptr(unsafe.Pointer(buf))
	p.Call(what, unix.SYS_GETCWD, []uintptr{at, unix.PathMax})
	// The page is aligned, and both machines store the first byte lowest.
	p.Expect(what, (*uint32)(unsafe.Pointer(buf)), '/', 0xff)
}

// Expect fails unless what an earlier call has stored at field is want, in the
// bits of mask. The field must be part of something that the program points to.
func (p *Program) Expect(what string, field *uint32, want, mask uint32) {
	p.keep = append(p.keep, field)
	p.steps = append(p.steps, step{what: what, nr: expectField, arg: [6]uintptr{uintptr(want), uintptr(mask)}, at: field})
}

// KeepReport has what is executed next inherit ErrorFD, on which it answers whether
// it could do its work: by Report, or by closing it.
func (p *Program) KeepReport() {
	p.Call("keep the report open", unix.SYS_FCNTL, []uintptr{ErrorFD, unix.F_SETFD, 0})
}

// Exec appends the end of most programs: execve(2) of the first of paths that
// can be executed, in execvp(3)'s order and with its errors, through a
// Trampoline that is open as fd and reports: KeepReport comes before.
func (p *Program) Exec(what string, fd int, paths, argv, env []string) {
	args := append(append(append([]string{}, paths...), ""), argv...)
	p.ExecFD(what, fd, args, env)
}

// ExecFD appends execveat(2) of an open binary, for a program that no path in the
// root leads to. The name of the step is what a failure of Exec goes by, too.
func (p *Program) ExecFD(what string, fd int, argv, env []string) {
	p.Call(what, unix.SYS_EXECVEAT, []uintptr{uintptr(fd), p.String(""), p.Strings(argv), p.Strings(env), unix.AT_EMPTY_PATH})
}

// String returns the address of s as a C string, alive as long as the program.
func (p *Program) String(s string) uintptr {
	b, err := syscall.BytePtrFromString(s)
	if err != nil {
		// The caller has checked its input; what is left ends at the NUL.
		b, _ = syscall.BytePtrFromString(s[:strings.IndexByte(s, 0)])
	}
	p.keep = append(p.keep, b)
	return uintptr(unsafe.Pointer(b))
}

// Strings returns the address of a NULL-terminated array of C strings.
func (p *Program) Strings(list []string) uintptr {
	array := make([]uintptr, len(list)+1)
	for i, s := range list {
		array[i] = p.String(s)
	}
	p.keep = append(p.keep, array)
	return uintptr(unsafe.Pointer(&array[0]))
}

// Pointer returns the address of *v, which lives as long as the program. It is
// for the structures that some calls take.
func Pointer[T any](p *Program, v *T) uintptr {
	p.keep = append(p.keep, v)
	return uintptr(unsafe.Pointer(v))
}

// Plan lists the steps by name, in order, for golden tests and for people.
func (p *Program) Plan() string {
	var b strings.Builder
	for _, s := range p.steps {
		b.WriteString(s.what + "\n")
	}
	return b.String()
}

// StepError is what a new process failed with before its execve succeeded.
type StepError struct {
	Step  string
	Errno syscall.Errno
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Errno) }
func (e *StepError) Unwrap() error { return e.Errno }

// keepAlive holds the memory of the steps until the new process has its copy.
func (p *Program) keepAlive() { runtime.KeepAlive(p.keep) }
