package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// A filter for a container that has one id, so that the kernel refuses what root does to
// owners and ids. It stands beside the container's own: of two verdicts the kernel takes
// the stricter, and of two errors that of the filter that was loaded last, so that what a
// profile denies stays denied.

const (
	notify    = verdict(unix.SECCOMP_RET_USER_NOTIF)
	pretended = verdict(unix.SECCOMP_RET_ERRNO) // error 0: success, and nothing is done
)

// emulatedCalls are those that a root with one id cannot make, by the capability that they
// take: who has been denied that is not helped to it, here or by the listener. Those with
// 32 in their names are i386's and arm's.
var emulatedCalls = []struct {
	capability string
	names      []string
}{
	{"CAP_CHOWN", []string{"chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32"}},
	{"CAP_SETUID", []string{"setuid", "setreuid", "setresuid", "setfsuid", "setuid32", "setreuid32", "setresuid32", "setfsuid32"}},
	{"CAP_SETGID", []string{
		"setgid", "setregid", "setresgid", "setfsgid", "setgroups", "setgid32", "setregid32", "setresgid32", "setfsgid32", "setgroups32",
	}},
	{"CAP_SETPCAP", []string{"capset"}},
}

// answeredCalls tell what the former have done, to who remembers that.
var answeredCalls = []string{
	"stat", "lstat", "fstat", "newfstatat", "statx",
	"getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
	"mkdir", "mkdirat", // whose it is
}

// peerRule is for who asks whose process is at the other end of a socket.
var peerRule = rule{names: []string{"getsockopt"}, verdict: notify, conditions: []condition{
	{index: 1, op: specs.OpMaskedEqual, mask: 0xffffffff, value: unix.SOL_SOCKET},
	{index: 2, op: specs.OpMaskedEqual, mask: 0xffffffff, value: unix.SO_PEERCRED},
}}

// Emulation is the filter of root emulation. With remembers the calls of programs of the
// machine's own architecture go to a listener; those of others, and all without it, are
// told that they were successful.
func Emulation(m Machine, remembers bool) Filter {
	archs := m.runs()
	tables := make([][]span, len(archs))
	for i, a := range archs {
		p := &Profile{fallback: unix.SECCOMP_RET_ALLOW, rules: emulationRules(m, remembers && i == 0)}
		tables[i] = p.table(p.byCall(m), a)
	}
	f := Filter{Code: assemble(archs, tables, unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ALLOW)}
	if remembers {
		// Go's runtime, and others, interrupt their own threads all the time: what is being
		// answered must not be asked again (Linux 5.19).
		f.Flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | Supported(unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	}
	return f
}

func emulationRules(m Machine, remembers bool) []rule {
	v := pretended
	var rules []rule
	if remembers {
		v = notify
		rules = append(rules, rule{names: answeredCalls, verdict: notify}, peerRule)
	}
	for _, e := range emulatedCalls {
		if remembers || m.HasCap(e.capability) {
			rules = append(rules, rule{names: e.names, verdict: v})
		}
	}
	if remembers || m.HasCap("CAP_MKNOD") {
		for _, kind := range []uint64{unix.S_IFCHR, unix.S_IFBLK} {
			rules = append(
				rules,
				rule{names: []string{"mknod"}, verdict: v, conditions: []condition{{index: 1, op: specs.OpMaskedEqual, mask: unix.S_IFMT, value: kind}}},
				rule{names: []string{"mknodat"}, verdict: v, conditions: []condition{{index: 2, op: specs.OpMaskedEqual, mask: unix.S_IFMT, value: kind}}},
			)
		}
	}
	return rules
}

// Native has, by their numbers on the machine's own architecture, the calls that Emulation
// may send to a listener.
func (m Machine) Native() map[int32]string {
	calls := map[int32]string{}
	for _, r := range emulationRules(m, true) {
		for _, name := range r.names {
			if call, known := find(name); known && syscalls.Table[call].Numbers[m.runs()[0]] >= 0 {
				calls[syscalls.Table[call].Numbers[m.runs()[0]]] = name
			}
		}
	}
	return calls
}
