package hosts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rootlet/internal/need"
)

// traces are what a program prints that nobody has thought of.
var traces = []string{"goroutine ", "panic:", "runtime error", "fatal error:", "SIGSEGV", "stack trace"}

// What rootlet begins its lines on standard error with.
const (
	errorLine  = "rootlet: error: "
	noticeLine = "rootlet: notice: "
)

// Problems are what is wrong with an outcome of rootlet's, beside that on a plain host.
func (c Condition) Problems(o, plain Outcome) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for name, s := range map[string]Said{"doctor": o.Doctor, "load": o.Load, "run": o.Run} {
		if s.Hung {
			say("%s: no end within %v", name, limit)
		}
		for _, trace := range traces {
			if strings.Contains(s.Stdout+s.Stderr, trace) {
				say("%s prints a trace: %q", name, trace)
			}
		}
		if n := strings.Count(s.Stderr, errorLine); n > 1 {
			say("%s prints %d errors", name, n)
		}
	}
	last := o.Failed()
	switch want := c.Want; {
	case want.Refused:
		code := 125
		if last == o.Load {
			code = 1
		}
		if want.Code != 0 {
			code = want.Code
		}
		if last.Code != code {
			say("exit code %d: want %d", last.Code, code)
		}
		if !strings.Contains(last.Stderr, errorLine) {
			say("it fails without an error line")
		}
		if want.Need != "" && !strings.Contains(last.Stderr, fmt.Sprintf("see %q in `rootlet doctor`", want.Need)) {
			say("no hint names doctor's line %q", want.Need)
		}
	case last.Code != 0:
		say("exit code %d: want 0", last.Code)
	case c.Run == "":
		found = append(found, c.shortfalls(o, plain)...)
	}
	if says := c.Want.Says; !strings.Contains(o.Load.Stderr+o.Run.Stderr, says) {
		say("it does not say %q", says)
	}
	// Where it cannot begin either, doctor fails as other commands do.
	if fine := !c.Want.Refused || c.Want.DoctorFine; fine != (o.Doctor.Code == 0) {
		say("doctor: exit code %d, and a container runs: %v", o.Doctor.Code, fine)
	}
	return found
}

// shortfalls are what a container that ran did not do, or had less of unsaid.
func (c Condition) shortfalls(o, plain Outcome) (found []string) {
	if !strings.HasSuffix(o.Run.Stdout, done+"\n") {
		return []string{fmt.Sprintf("exit code 0, and the container did not do all of its work: %q", o.Run.Stdout)}
	}
	less := Less(o, plain)
	if !slices.Equal(less, c.Want.Less) {
		found = append(found, fmt.Sprintf("less than on a plain host: %q: want %q", less, c.Want.Less))
	}
	for _, fact := range less {
		if !strings.Contains(o.Load.Stderr+o.Run.Stderr, noticeLine) && !doctorTells(o.Doctor.Stdout, lines[fact]) {
			found = append(found, fmt.Sprintf("less than on a plain host, and neither a notice nor doctor says so: %s", fact))
		}
	}
	return found
}

// lines are doctor's about each fact.
var lines = map[string]string{
	"ids": need.IDs, "owner": need.IDs, "interfaces": need.Network, "first": need.UserNamespaces, "proc": need.UserNamespaces, "files": need.RootFilesystem,
}

// doctorTells says whether a line is there, and not "ok".
func doctorTells(doctor, name string) bool {
	for line := range strings.Lines(doctor) {
		status, rest, _ := strings.Cut(line, " ")
		if (status == "better" || status == "missing") && strings.HasPrefix(strings.TrimSpace(rest), name+" ") {
			return true
		}
	}
	return false
}

// Failed is the first command that was not successful, or else the last.
func (o Outcome) Failed() Said {
	if o.Load.Code != 0 {
		return o.Load
	}
	return o.Run
}

// Less names the facts of a container that are not those of one on a plain host.
func Less(o, plain Outcome) (names []string) {
	got := factsOf(o.Run.Stdout)
	for name, want := range factsOf(plain.Run.Stdout) {
		if got[name] != want && !more(got[name], want) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// more says whether a number is larger than another.
func more(got, want string) bool {
	a, errA := strconv.ParseUint(got, 10, 64)
	b, errB := strconv.ParseUint(want, 10, 64)
	return errA == nil && errB == nil && a > b
}
