package sandbox

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
)

// filterFor makes the filter of system calls of a program that may have some
// capabilities, by its container's profile; nil: it has none.
func filterFor(s *record.Spec, caps capSet) (*seccomp.Filter, error) {
	if s.HasNoFilter() {
		return nil, nil
	}
	machine, err := seccomp.Here(caps.has)
	if err != nil {
		return nil, err
	}
	filter, err := builtinOr(s.Seccomp, machine)
	if err != nil {
		return nil, err
	}
	filter.Flags = seccomp.Supported(filter.Flags)
	return &filter, nil
}

// builtinOr is a filter that is built in, or that of a profile from a file.
func builtinOr(s record.Seccomp, m seccomp.Machine) (seccomp.Filter, error) {
	switch s.Profile {
	case "", record.Builtin:
		return seccomp.Builtin(m)
	case record.Sandboxed:
		return seccomp.Sandbox(), nil
	}
	profile, err := seccomp.Parse(s.JSON)
	if err != nil {
		return seccomp.Filter{}, fmt.Errorf("seccomp profile: %w", err)
	}
	filter, err := profile.Compile(m)
	if err != nil {
		return seccomp.Filter{}, &Failure{Code: codeEngine, Message: "--security-opt seccomp: " + err.Error()}
	}
	return filter, letsBegin(filter, m)
}

// letsBegin refuses a filter under which no program begins, or none that could say so:
// what loads it has to execute the trampoline, and that one the program.
func letsBegin(f seccomp.Filter, m seccomp.Machine) error {
	for _, c := range []struct {
		name string
		args []uint64
	}{
		{"execveat", []uint64{programFD, 0, 0, 0, unix.AT_EMPTY_PATH}},
		{"execve", nil},
		{"fcntl", []uint64{firstproc.ErrorFD, unix.F_SETFD, unix.FD_CLOEXEC}},
		{"write", []uint64{firstproc.ErrorFD}},
		{"exit_group", nil},
	} {
		if !f.Permits(m, c.name, c.args...) {
			return &Failure{Code: codeEngine, Message: fmt.Sprintf("--security-opt seccomp: the profile does not allow %s, without which no program begins", c.name)}
		}
	}
	return nil
}

// DefaultFilter shows the filter of a container that nothing else was asked for.
func DefaultFilter() (string, error) {
	filter, err := filterFor(&record.Spec{}, defaultCaps)
	if err != nil {
		return "", err
	}
	return filter.String(), nil
}

// has says whether a capability, as CAP_CHOWN, is in the set.
func (s capSet) has(name string) bool {
	for rest := uint64(s); rest != 0; rest &= rest - 1 {
		n := bits.TrailingZeros64(rest)
		if n < len(capNames) && strings.TrimPrefix(name, "CAP_") == capNames[n] {
			return true
		}
	}
	return false
}

const filterStep = "load the seccomp filter"

// loadFilter comes last before execve(2), which is all that the filter has to permit
// for the program to begin. It takes no_new_privs or CAP_SYS_ADMIN (seccomp(2)): see
// dropRights.
func (g program) loadFilter(p *firstproc.Program) {
	g.loadEmulation(p)
	// Of two filters the stricter holds. The one that permits seccomp(2) goes first.
	for _, f := range []*seccomp.Filter{g.pinned, g.filter} {
		if f != nil {
			code := &unix.SockFprog{Len: uint16(len(f.Code)), Filter: &f.Code[0]}
			p.Call(filterStep, unix.SYS_SECCOMP, []uintptr{unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), firstproc.Pointer(p, code)})
		}
	}
}

// explainFilter says what to do about a kernel that takes no filter; nil: it was
// something else.
func explainFilter(step *firstproc.StepError) error {
	if step.Step != filterStep || !errors.Is(step.Errno, unix.ENOSYS) && !errors.Is(step.Errno, unix.EINVAL) {
		return nil
	}
	return &Failure{
		Code: codeEngine, Message: "this kernel has no filters of system calls (seccomp)",
		Fix: "run it without, if you trust it: --security-opt seccomp=unconfined", Lacks: need.SecurityModules,
	}
}
