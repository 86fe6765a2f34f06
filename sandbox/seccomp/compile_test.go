package seccomp

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// audits are what the kernel may say of an architecture; the last is nobody's.
var audits = []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_PPC64LE}

// everyNumber are those that there could be something at.
func everyNumber() []uint32 {
	var list []uint32
	for n := range uint32(1200) {
		list = append(list, n, n|x32Bit)
	}
	return append(list, 0xeffff, 0xf0000, 0xf0001, 0xf0002, 0xf0003, 0xf0004, 0xf0005, 0xf0006, 0xf0007, 0x3fffffff, 0x7fffffff, 0x80000000, 0xffffffff)
}

func TestEveryVerdictIsTheProfiles(t *testing.T) {
	for name, profile := range map[string]func() (*Profile, error){"Docker's": Docker, "the sandbox's": sandboxProfile} {
		p, err := profile()
		if err != nil {
			t.Fatal(err)
		}
		checked, most := 0, 0
		for _, m := range machines() {
			code, oracle := compiled(t, p, m), newOracle(p, m)
			for _, audit := range audits {
				for _, nr := range everyNumber() {
					for _, d := range []data{{nr: nr, arch: audit}, {nr: nr, arch: audit, args: [6]uint64{1, 2, 3, 4, 5, 6}}} {
						got, steps, err := run(code, d)
						if want := oracle.verdict(d); err != nil || got != want {
							t.Fatalf("%s: %s: %+v: %v, want %v (%v)", name, m.Arch, d, got, want, err)
						}
						checked++
						most = max(most, steps)
					}
				}
			}
		}
		t.Logf("%s: %d verdicts, at most %d instructions each", name, checked, most)
	}
}

// verdictOn is what Docker's profile and ours say of a call.
func verdictOn(t *testing.T, m Machine, name string, args ...uint64) verdict {
	t.Helper()
	p, err := Docker()
	if err != nil {
		t.Fatal(err)
	}
	return verdictBy(t, compiled(t, p, m), m.runs()[0], name, args...)
}

func verdictBy(t *testing.T, code []unix.SockFilter, a arch, name string, args ...uint64) verdict {
	t.Helper()
	i, ok := find(name)
	if !ok || syscalls.Table[i].Numbers[a] < 0 {
		t.Fatalf("no call %s on %v", name, a)
	}
	d := data{nr: uint32(syscalls.Table[i].Numbers[a]), arch: a.audit()}
	copy(d.args[:], args)
	v, _, err := run(code, d)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	allowed = verdict(unix.SECCOMP_RET_ALLOW)
	refused = unix.SECCOMP_RET_ERRNO | verdict(unix.EPERM)
	noSuch  = unix.SECCOMP_RET_ERRNO | verdict(unix.ENOSYS)
)

func TestWhatAContainerMayDo(t *testing.T) {
	const high = 1 << 32
	for _, arch := range []string{"amd64", "arm64"} {
		m := machineWith(arch, "CAP_SYS_CHROOT")
		admin := machineWith(arch, "CAP_SYS_ADMIN")
		for _, c := range []struct {
			call string
			args []uint64
			want verdict
			m    Machine
		}{
			{"read", nil, allowed, m},
			{"chroot", nil, allowed, m},
			{"chroot", nil, refused, machineWith(arch)},
			{"mount", nil, refused, m},
			{"mount", nil, allowed, admin},
			{"unshare", []uint64{unix.CLONE_NEWUSER}, refused, m},
			{"unshare", []uint64{unix.CLONE_NEWUSER}, allowed, admin},
			{"setns", nil, refused, m},
			{"clone", []uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, allowed, m},
			{"clone", []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, refused, m},
			{"clone", []uint64{unix.CLONE_NEWNS | high}, refused, m},
			{"clone", []uint64{unix.CLONE_NEWUSER}, allowed, admin},
			{"clone3", nil, noSuch, m},
			{"clone3", nil, allowed, admin},
			{"keyctl", nil, refused, m},
			{"bpf", nil, refused, m},
			{"ptrace", nil, allowed, m},
			{"ptrace", nil, refused, Machine{Arch: arch, Kernel: [2]int{4, 7}, HasCap: m.HasCap}},
			{"socket", []uint64{unix.AF_UNIX}, allowed, m},
			{"socket", []uint64{unix.AF_INET6}, allowed, m},
			{"socket", []uint64{unix.AF_ALG}, refused, m},
			{"socket", []uint64{unix.AF_ALG | high}, refused, m},
			{"socket", []uint64{unix.AF_VSOCK}, refused, m},
			{"socket", []uint64{unix.AF_VSOCK}, refused, admin},
			{"ioctl", []uint64{0, unix.TCGETS}, allowed, m},
			{"ioctl", []uint64{0, unix.TIOCSTI}, refused, m},
			{"ioctl", []uint64{0, unix.TIOCSTI | high}, refused, m},
			{"ioctl", []uint64{0, unix.TIOCLINUX | high<<3}, refused, admin},
			{"personality", []uint64{0xffffffff}, allowed, m},
			{"personality", []uint64{0x40000}, refused, m},
		} {
			if got := verdictOn(t, c.m, c.call, c.args...); got != c.want {
				t.Errorf("%s: %s%#x: %v, want %v", arch, c.call, c.args, got, c.want)
			}
		}
	}
}

// A C library that meets a kernel's newest call must be told that there is none.
func TestCallsNewerThanTheProfile(t *testing.T) {
	p, err := Docker()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines() {
		code := compiled(t, p, m)
		for _, a := range m.runs() {
			if got, _, _ := run(code, data{nr: 0xfffff | uint32(a.bit()), arch: a.audit()}); got != noSuch {
				t.Errorf("%v: %v", a, got)
			}
		}
	}
	open := parsed(t, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO"}]}`)
	if got, _, _ := run(compiled(t, open, machines()[0]), data{nr: 9999, arch: unix.AUDIT_ARCH_X86_64}); got != allowed {
		t.Errorf("where all is allowed: %v", got)
	}
}

// bit is what is in all the numbers of an architecture.
func (a arch) bit() int {
	if a == x32 {
		return x32Bit
	}
	return 0
}

// What forbids an int must see what the kernel sees of it, or its upper half is the way
// around the rule; what permits one may see more.
func TestTheUpperHalfOfAnInt(t *testing.T) {
	m := machines()[0]
	deny := compiled(t, parsed(t, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
		{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_EQ"}]},
		{"names": ["mmap"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}]}]}`), m)
	for _, c := range []struct {
		call string
		arg  uint64
		want verdict
	}{{"ioctl", unix.TIOCSTI, refused}, {"ioctl", 1<<40 | unix.TIOCSTI, refused}, {"ioctl", 1, allowed}, {"mmap", 7, refused}, {"mmap", 1<<40 | 7, allowed}} {
		if got := verdictBy(t, deny, amd64, c.call, 0, c.arg); got != c.want {
			t.Errorf("deny %s %#x: %v, want %v", c.call, c.arg, got, c.want)
		}
	}
	allow := compiled(t, parsed(t, `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
		{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]}]}`), m)
	if got := verdictBy(t, allow, amd64, "ioctl", 0, 1<<32|5); got != refused {
		t.Errorf("allow: %v", got)
	}
}

// Two rules about the same call: the strict one holds, wherever it stands.
func TestTheStrictestRuleHolds(t *testing.T) {
	for _, text := range []string{
		`{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
			{"name": "read", "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_GE"}]}]}`,
		`{"defaultAction": "SCMP_ACT_LOG", "syscalls": [
			{"name": "read", "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_GE"}]},
			{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}]}`,
	} {
		code := compiled(t, parsed(t, text), machines()[0])
		if got := verdictBy(t, code, amd64, "read", 9); got != unix.SECCOMP_RET_KILL_PROCESS {
			t.Errorf("read of 9: %v", got)
		}
		if got := verdictBy(t, code, amd64, "read", 8); got != allowed {
			t.Errorf("read of 8: %v", got)
		}
	}
}

func TestArchitecturesThatAProfileDoesNotName(t *testing.T) {
	p := parsed(t, `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": []}`)
	code := compiled(t, p, machines()[0])
	for _, c := range []struct {
		d    data
		want verdict
	}{
		{data{arch: unix.AUDIT_ARCH_X86_64}, allowed},
		{data{arch: unix.AUDIT_ARCH_I386}, allowed},
		{data{arch: unix.AUDIT_ARCH_X86_64, nr: x32Bit}, unix.SECCOMP_RET_KILL_THREAD},
		{data{arch: unix.AUDIT_ARCH_ARM}, unix.SECCOMP_RET_KILL_THREAD},
	} {
		if got, _, err := run(code, c.d); got != c.want || err != nil {
			t.Errorf("%+v: %v, want %v (%v)", c.d, got, c.want, err)
		}
	}
}

// Jumps have 8 bits: a profile with many conditions needs longer ones.
func TestLongPrograms(t *testing.T) {
	p := &Profile{fallback: refused, archMap: docker(t).archMap}
	for i := range 300 {
		p.rules = append(p.rules, rule{names: []string{"ioctl", "read", "zzz"}, verdict: allowed, conditions: []condition{{index: i % 6, op: opGreaterThan, value: uint64(i) << 30}}})
	}
	m := machines()[0]
	code, oracle := compiled(t, p, m), newOracle(p, m)
	for i := range 2000 {
		d := data{nr: uint32(i % 20), arch: audits[i%2], args: [6]uint64{uint64(i) << 20, uint64(i) << 28, uint64(i), uint64(i) << 26}}
		if got, _, err := run(code, d); err != nil || got != oracle.verdict(d) {
			t.Fatalf("%+v: %v, want %v (%v)", d, got, oracle.verdict(d), err)
		}
	}
	for range 3 {
		p.rules = append(p.rules, p.rules...)
	}
	if _, err := p.Compile(m); err == nil {
		t.Error("no error about a program that is too long")
	}
}

func TestNumbersAreSorted(t *testing.T) {
	if !slices.IsSortedFunc(syscalls.Table[:], func(x, y syscalls.Call) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	}) {
		t.Error("find cannot find what is not sorted")
	}
	for a := range arm + 1 {
		seen := map[int32]string{}
		for _, c := range syscalls.Table {
			if other, twice := seen[c.Numbers[a]]; twice && c.Numbers[a] >= 0 {
				t.Errorf("%v: %s and %s are both %d", a, other, c.Name, c.Numbers[a])
			}
			seen[c.Numbers[a]] = c.Name
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		p, err := Docker()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Compile(machines()[0]); err != nil {
			b.Fatal(err)
		}
	}
}
