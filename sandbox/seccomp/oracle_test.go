package seccomp

import (
	"slices"
	"testing"

	profiles "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// machine is one with some capabilities.
func machineWith(arch string, caps ...string) Machine {
	return Machine{Arch: arch, Kernel: [2]int{6, 12}, HasCap: func(name string) bool { return slices.Contains(caps, name) }}
}

// machines are those that tests are made for: with the capabilities of a container, with
// those that open most, and with none.
func machines() []Machine {
	var list []Machine
	for _, arch := range []string{"amd64", "arm64"} {
		list = append(list, machineWith(arch, "CAP_SYS_CHROOT"), machineWith(arch, "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF"), machineWith(arch))
	}
	return list
}

// docker is Docker's profile as it is.
func docker(t testing.TB) *Profile {
	t.Helper()
	p, err := fromDocker(profiles.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compiled(t testing.TB, p *Profile, m Machine) []unix.SockFilter {
	t.Helper()
	f, err := p.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	checkLoadable(t, f.Code)
	return f.Code
}

// checkLoadable is the kernel's own check of a filter (bpf_check_classic and
// seccomp_check_filter): jumps stay inside, and it ends with a return.
func checkLoadable(t testing.TB, code []unix.SockFilter) {
	t.Helper()
	if len(code) == 0 || len(code) > maxCode || code[len(code)-1].Code != opRet {
		t.Fatalf("%d instructions, the last %v", len(code), code[len(code)-1])
	}
	for pc, i := range code {
		switch i.Code {
		case opLoad:
			if i.K >= 64 || i.K%4 != 0 {
				t.Fatalf("%d: load from %d", pc, i.K)
			}
		case opAnd, opRet:
		case opJump, opIs, opOver, opFrom:
			for _, to := range targets(pc, i) {
				if to >= len(code) {
					t.Fatalf("%d: jump to %d of %d", pc, to, len(code))
				}
			}
		default:
			t.Fatalf("%d: instruction %#x", pc, i.Code)
		}
	}
}

// archOf is the architecture of a call; ok says whether the machine has it.
func archOf(m Machine, d data) (a arch, ok bool) {
	for _, a := range m.runs() {
		if a.audit() == d.arch && (a == x32) == (a.audit() == unix.AUDIT_ARCH_X86_64 && d.nr >= x32Bit) {
			return a, true
		}
	}
	return 0, false
}

// oracle reads off a profile what becomes of a call on a machine.
type oracle struct {
	p       *Profile
	m       Machine
	rules   map[place][]named
	highest [5]int64
}

type place struct {
	arch arch
	nr   int32
}

// named is a rule with that of its names which matters.
type named struct {
	*rule
	name string
}

func newOracle(p *Profile, m Machine) *oracle {
	o := &oracle{p: p, m: m, rules: map[place][]named{}, highest: [5]int64{-1, -1, -1, -1, -1}}
	for _, r := range p.on(m) {
		for _, name := range r.names {
			for _, c := range syscalls.Table {
				if c.Name != name {
					continue
				}
				for a, nr := range c.Numbers {
					o.rules[place{arch(a), nr}] = append(o.rules[place{arch(a), nr}], named{r, name})
					o.highest[a] = max(o.highest[a], int64(nr))
				}
			}
		}
	}
	return o
}

func (o *oracle) verdict(d data) verdict {
	a, ok := archOf(o.m, d)
	if !ok {
		return o.p.foreign
	}
	if !slices.Contains(o.p.covers(o.m), a) {
		if a == x32 {
			return o.p.x32
		}
		return o.p.foreign
	}
	otherwise := o.p.fallback
	if int64(d.nr) > o.highest[a] && !o.p.fallback.permits() {
		return noSuch
	}
	var without, with []verdict
	for _, r := range o.rules[place{a, int32(d.nr)}] {
		if len(r.conditions) == 0 {
			without = append(without, r.verdict)
		}
	}
	if len(without) > 0 {
		otherwise = strictest(without)
	}
	for _, r := range o.rules[place{a, int32(d.nr)}] {
		if len(r.conditions) > 0 && r.holds(r.name, a, d, otherwise) {
			with = append(with, r.verdict)
		}
	}
	if all := append(without, with...); len(all) > 0 {
		return strictest(all)
	}
	return otherwise
}

// strictest is the first of the strictest.
func strictest(list []verdict) verdict {
	return slices.MinFunc(list, func(x, y verdict) int { return int(int64(x.rank()) - int64(y.rank())) })
}

func (r *rule) holds(call string, a arch, d data, otherwise verdict) bool {
	for _, c := range r.conditions {
		x := d.args[c.index]
		if !a.wide() || r.verdict.stricter(otherwise) && isInt(call, c.index) {
			x = uint64(uint32(x))
			c.mask = uint64(uint32(c.mask))
		}
		var yes bool
		switch c.op {
		case specs.OpEqualTo:
			yes = x == c.value
		case specs.OpNotEqual:
			yes = x != c.value
		case specs.OpLessThan:
			yes = x < c.value
		case specs.OpLessEqual:
			yes = x <= c.value
		case specs.OpGreaterThan:
			yes = x > c.value
		case specs.OpGreaterEqual:
			yes = x >= c.value
		case specs.OpMaskedEqual:
			yes = x&c.mask == c.value
		}
		if !yes {
			return false
		}
	}
	return true
}
