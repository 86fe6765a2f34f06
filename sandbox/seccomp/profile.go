package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	profiles "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Profile says what becomes of system calls, for all machines and capabilities.
type Profile struct {
	fallback verdict
	archs    []specs.Arch            // that it names, besides the machine's own
	archMap  []profiles.Architecture // or those that come with each machine
	flags    uint
	rules    []rule
	foreign  verdict // on programs of an architecture that is not covered; zero kills their thread
	x32      verdict // the same on those of x32
}

// rule is about some calls: all of them, or those whose arguments are as it says.
type rule struct {
	names              []string
	verdict            verdict
	conditions         []condition // all of which have to hold
	includes, excludes *profiles.Filter
}

// condition is about one argument of a call.
type condition struct {
	index int
	op    specs.LinuxSeccompOperator
	// value is what the argument is compared with. mask, with the operator
	// MASKED_EQ, has the bits that count.
	value, mask uint64
	low         bool // only the argument's low 32 bits are looked at
}

// verdict is what a filter returns: an action, and in the low 16 bits its data.
type verdict uint32

const actionBits = 0xffff0000

// stricter is the kernel's own order (seccomp(2)); of two of the same action the
// first counts.
func (v verdict) stricter(than verdict) bool { return v.rank() < than.rank() }
func (v verdict) rank() int32                { return int32(v & actionBits) }

// permits says whether the call is made after all, now or by a tracer.
func (v verdict) permits() bool { return v.rank() >= rankOfTrace }

const rankOfTrace = unix.SECCOMP_RET_TRACE

// Docker is the profile that Docker's containers have, and what rootlet adds to it.
func Docker() (*Profile, error) {
	p, err := fromDocker(profiles.DefaultProfile())
	if err != nil {
		return nil, err
	}
	p.rules = append(p.rules, stricter()...)
	return p, nil
}

// stricter has what Docker leaves open. But for the terminals, Podman has it closed too.
func stricter() []rule {
	rules := []rule{
		// Pages under two owners, and a call that nothing needs: libaio does without it.
		{names: []string{"vmsplice", "io_pgetevents", "io_pgetevents_time64"}, verdict: unix.SECCOMP_RET_ERRNO | verdict(unix.ENOSYS)},
		// The kernel takes audit's messages from its first user namespace only. libaudit,
		// and with it PAM, takes EINVAL for a kernel without audit.
		{names: []string{"socket"}, verdict: unix.SECCOMP_RET_ERRNO | verdict(unix.EINVAL), conditions: []condition{
			{index: 0, op: specs.OpMaskedEqual, mask: 0xffffffff, value: unix.AF_NETLINK},
			{index: 2, op: specs.OpMaskedEqual, mask: 0xffffffff, value: unix.NETLINK_AUDIT},
		}},
	}
	// Both requests type into a terminal as if its user did (CVE-2017-5226). The kernel
	// takes a request's low 32 bits (ioctl(2)).
	for _, request := range []uint64{unix.TIOCSTI, unix.TIOCLINUX} {
		rules = append(rules, rule{
			names: []string{"ioctl"}, verdict: unix.SECCOMP_RET_ERRNO | verdict(unix.EPERM),
			conditions: []condition{{index: 1, op: specs.OpMaskedEqual, mask: 0xffffffff, value: request}},
		})
	}
	return rules
}

// fromDocker takes a profile over and checks it.
func fromDocker(d *profiles.Seccomp) (*Profile, error) {
	p := &Profile{archs: d.Architectures, archMap: d.ArchMap, rules: make([]rule, 0, len(d.Syscalls)+2)}
	var err error
	if p.fallback, err = verdictOf(d.DefaultAction, d.DefaultErrnoRet); err != nil {
		return nil, fmt.Errorf("defaultAction: %w", err)
	}
	if len(d.Architectures) > 0 && len(d.ArchMap) > 0 {
		return nil, errors.New("both architectures and archMap: want one of them")
	}
	if p.flags, err = flagsOf(d.Flags); err != nil {
		return nil, err
	}
	for _, s := range d.Syscalls {
		r, err := ruleOf(s)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

func ruleOf(s *profiles.Syscall) (rule, error) {
	r := rule{names: s.Names, includes: s.Includes, excludes: s.Excludes}
	if len(r.names) == 0 {
		return r, errors.New("a rule without names")
	}
	var err error
	if r.verdict, err = verdictOf(s.Action, s.ErrnoRet); err != nil {
		return r, fmt.Errorf("action: %w", err)
	}
	for _, a := range s.Args {
		if a.Index > 5 {
			return r, fmt.Errorf("index %d: a call has the arguments 0 to 5", a.Index)
		}
		c := condition{index: int(a.Index), op: a.Op, value: a.Value}
		switch a.Op {
		case specs.OpMaskedEqual:
			c.mask, c.value = a.Value, a.ValueTwo
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan:
		default:
			return r, fmt.Errorf("op %q: no such comparison", a.Op)
		}
		r.conditions = append(r.conditions, c)
	}
	return r, nil
}

// actions by name. SCMP_ACT_NOTIFY is not among them: it wants a program outside that
// decides.
var actions = [...]struct {
	name    specs.LinuxSeccompAction
	verdict verdict
	data    bool // errnoRet goes with it
}{
	{specs.ActAllow, unix.SECCOMP_RET_ALLOW, false},
	{specs.ActErrno, unix.SECCOMP_RET_ERRNO, true},
	{specs.ActKill, unix.SECCOMP_RET_KILL_THREAD, false},
	{specs.ActKillThread, unix.SECCOMP_RET_KILL_THREAD, false},
	{specs.ActKillProcess, unix.SECCOMP_RET_KILL_PROCESS, false},
	{specs.ActTrap, unix.SECCOMP_RET_TRAP, false},
	{specs.ActTrace, unix.SECCOMP_RET_TRACE, true},
	{specs.ActLog, unix.SECCOMP_RET_LOG, false},
}

// maxErrno is the highest that a filter can have a call fail with (seccomp(2)).
const maxErrno = 4095

func verdictOf(action specs.LinuxSeccompAction, errno *uint) (verdict, error) {
	for _, a := range actions {
		if a.name != action {
			continue
		}
		if !a.data {
			return a.verdict, nil
		}
		if errno == nil {
			return a.verdict | verdict(unix.EPERM), nil
		}
		if *errno > maxErrno {
			return 0, fmt.Errorf("errnoRet %d: at most %d", *errno, maxErrno)
		}
		return a.verdict | verdict(*errno), nil
	}
	switch action {
	case specs.ActNotify:
		return 0, fmt.Errorf("%s: rootlet has no one to notify", action)
	case "":
		return 0, errors.New("none given")
	}
	return 0, fmt.Errorf("%q: no such action", action)
}

// flagsOf are those that mean something for a process of one thread.
func flagsOf(names []specs.LinuxSeccompFlag) (flags uint, err error) {
	for _, name := range names {
		switch name {
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagWaitKillableRecv:
		default:
			return 0, fmt.Errorf("flag %q: no such flag", name)
		}
	}
	if names == nil {
		flags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW // as runc; Linux 5.16 does so by itself
	}
	return flags, nil
}

// on are the rules that hold on a machine.
func (p *Profile) on(m Machine) []*rule {
	rules := make([]*rule, 0, len(p.rules))
	for i := range p.rules {
		if r := &p.rules[i]; !m.excluded(r.excludes) && m.included(r.includes) {
			rules = r.split(rules)
		}
	}
	return rules
}

func (m Machine) excluded(f *profiles.Filter) bool {
	return f != nil && (slices.Contains(f.Arches, m.Arch) || slices.ContainsFunc(f.Caps, m.HasCap) ||
		f.MinKernel != nil && m.atLeast(*f.MinKernel))
}

func (m Machine) included(f *profiles.Filter) bool {
	return f == nil || (len(f.Arches) == 0 || slices.Contains(f.Arches, m.Arch)) &&
		!slices.ContainsFunc(f.Caps, func(name string) bool { return !m.HasCap(name) }) &&
		(f.MinKernel == nil || m.atLeast(*f.MinKernel))
}

func (m Machine) atLeast(v profiles.KernelVersion) bool {
	return cmp.Or(cmp.Compare(uint64(m.Kernel[0]), v.Kernel), cmp.Compare(uint64(m.Kernel[1]), v.Major)) >= 0
}

// split appends a rule: one with two conditions on the same argument as one for each
// condition, which is what runc does and profiles were written for.
func (r *rule) split(rules []*rule) []*rule {
	var seen [6]bool
	twice := false
	for _, c := range r.conditions {
		twice = twice || seen[c.index]
		seen[c.index] = true
	}
	if !twice {
		return append(rules, r)
	}
	for _, c := range r.conditions {
		rules = append(rules, &rule{names: r.names, verdict: r.verdict, conditions: []condition{c}})
	}
	return rules
}

// covers are the architectures that a profile speaks of, the machine's own first.
func (p *Profile) covers(m Machine) []arch {
	all := m.runs()
	named := p.archs
	for _, a := range p.archMap {
		if a.Arch == specs.Arch(archNames[all[0]]) {
			named = a.SubArches
		}
	}
	covered := all[:1]
	for _, a := range all[1:] {
		if slices.Contains(named, specs.Arch(archNames[a])) {
			covered = append(covered, a)
		}
	}
	return covered
}
