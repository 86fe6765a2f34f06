package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// maxCode is how many instructions the kernel takes (BPF_MAXINSNS).
const maxCode = 4096

// Compile makes the profile into a filter. Where several rules are about a call the
// strictest holds; where none is, or it has no conditions that are met, the profile's
// default.
func (p *Profile) Compile(m Machine) (Filter, error) {
	rules := p.byCall(m)
	covered := p.covers(m)
	tables := make([][]span, len(covered))
	for i, a := range covered {
		tables[i] = p.table(rules, a)
	}
	code := assemble(covered, tables, p.foreign, p.x32)
	if len(code) > maxCode {
		return Filter{}, fmt.Errorf("the profile makes a filter of %d instructions: the kernel takes %d", len(code), maxCode)
	}
	return Filter{Code: code, Flags: p.flags}, nil
}

// byCall has the rules that are about each call of syscalls.Table, on a machine.
func (p *Profile) byCall(m Machine) [][]*rule {
	about := make([][]*rule, len(syscalls.Table))
	one := make([]*rule, 0, len(syscalls.Table)) // most calls have one rule: they share this
	for _, r := range p.on(m) {
		for _, name := range r.names {
			switch call, known := find(name); {
			case !known:
			case about[call] == nil && len(one) < cap(one):
				one = append(one, r)
				about[call] = one[len(one)-1 : len(one) : len(one)]
			default:
				about[call] = append(about[call], r)
			}
		}
	}
	return about
}

// span has the calls from a number on, up to the next span, which fare alike.
type span struct {
	from uint32
	outcome
}

// outcome is what becomes of a call: what the first rule says whose conditions are
// met, or otherwise the verdict.
type outcome struct {
	verdict verdict
	rules   []rule
}

func (o outcome) same(as outcome) bool {
	return o.verdict == as.verdict && len(o.rules) == 0 && len(as.rules) == 0
}

// table has what becomes of each call on an architecture: spans in order, the first of
// which begins at 0.
func (p *Profile) table(rules [][]*rule, a arch) []span {
	spans := make([]span, 0, len(syscalls.Table)/2)
	put := func(from int32, o outcome) {
		if n := len(spans); n == 0 || !spans[n-1].same(o) {
			spans = append(spans, span{uint32(from), o})
		}
	}
	next := int32(0) // the lowest number of which nothing is said yet
	for _, call := range inOrder(rules, a) {
		nr := syscalls.Table[call].Numbers[a]
		if next < nr {
			put(next, outcome{verdict: p.fallback})
		}
		put(nr, p.judge(syscalls.Table[call].Name, rules[call], a))
		next = nr + 1
	}
	put(next, outcome{verdict: p.ofTheUnknown()})
	return spans
}

// inOrder are the calls that there are rules about, by their number on an architecture.
func inOrder(rules [][]*rule, a arch) []int {
	const private = 1024 // 32-bit arm's own calls are far above this
	var slots [private]int16
	var above []int
	for call := range rules {
		switch nr := syscalls.Table[call].Numbers[a] &^ x32Bit; {
		case rules[call] == nil || syscalls.Table[call].Numbers[a] < 0:
		case nr < private:
			slots[nr] = int16(call + 1)
		default:
			above = append(above, call)
		}
	}
	list := make([]int, 0, len(rules))
	for _, call := range slots {
		if call > 0 {
			list = append(list, int(call-1))
		}
	}
	slices.SortFunc(above, func(x, y int) int { return cmp.Compare(syscalls.Table[x].Numbers[a], syscalls.Table[y].Numbers[a]) })
	return append(list, above...)
}

// ofTheUnknown is the verdict on calls with a higher number than any of the profile's.
// Its author cannot have known them; a C library that is told ENOSYS does without one,
// and takes anything else for an error (runc has the same).
func (p *Profile) ofTheUnknown() verdict {
	if p.fallback.permits() {
		return p.fallback
	}
	return unix.SECCOMP_RET_ERRNO | verdict(unix.ENOSYS)
}

// judge is what rules say of the call that they are about.
func (p *Profile) judge(call string, rules []*rule, a arch) outcome {
	o := outcome{verdict: p.fallback}
	said := false // by a rule without conditions
	for _, r := range rules {
		if len(r.conditions) == 0 && (!said || r.verdict.stricter(o.verdict)) {
			o.verdict, said = r.verdict, true
		}
	}
	for _, r := range rules {
		if len(r.conditions) > 0 && (!said || r.verdict.stricter(o.verdict)) {
			o.rules = append(o.rules, r.forArch(call, a, r.verdict.stricter(o.verdict)))
		}
	}
	slices.SortStableFunc(o.rules, func(x, y rule) int { return cmp.Compare(x.verdict.rank(), y.verdict.rank()) })
	return o
}

// forArch has a rule look at as much of each argument as counts: all of it, or the low
// 32 bits. What a program puts into the upper half of an int is lost on the kernel: a
// rule that forbids must not see it (bug 1812973 of snapd), while one that permits may
// be as narrow as its author wrote it.
func (r *rule) forArch(call string, a arch, forbids bool) rule {
	conditions := make([]condition, len(r.conditions))
	for i, c := range r.conditions {
		c.low = !a.wide() || forbids && isInt(call, c.index)
		conditions[i] = c
	}
	return rule{verdict: r.verdict, conditions: conditions}
}
