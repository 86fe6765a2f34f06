package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Sandbox is the filter of `run --sandbox`, which is there already (builtin_GOARCH.go).
func Sandbox() Filter {
	return Filter{Code: unpacked(sandboxed[:]), Flags: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW}
}

const (
	notPermitted = unix.SECCOMP_RET_ERRNO | verdict(unix.EPERM)
	notThere     = unix.SECCOMP_RET_ERRNO | verdict(unix.ENOSYS)
)

// sandboxProfile is Docker's for a program without capabilities, with fewer calls. It is
// never laxer: a rule that is added can only forbid (see Compile).
func sandboxProfile() (*Profile, error) {
	p, err := Docker()
	if err != nil {
		return nil, err
	}
	// A program of another architecture could not do a thing here: that it ends says so
	// best. In one of the machine's own, such a call is part of an attack. x32 is answered
	// as by the kernels that do not have it, which are most.
	p.archs, p.archMap = nil, nil
	p.foreign, p.x32 = unix.SECCOMP_RET_KILL_PROCESS, notThere
	p.rules = slices.Concat(p.rules, sandboxCalls(), sandboxSockets(), sandboxArguments())
	return p, nil
}

// sandboxCalls closes calls whatever their arguments. Where programs do without a call
// that the kernel has not, they are told so.
func sandboxCalls() []rule {
	return []rule{
		{verdict: notPermitted, names: []string{
			// Looking into other programs.
			"ptrace", "process_vm_readv", "process_vm_writev", "process_mrelease", "get_robust_list",
			// What is mounted, and files past their paths.
			"name_to_handle_at", "fanotify_mark",
			// The machine's clock and processors, and segments of 16 and 32 bits.
			"adjtimex", "clock_adjtime", "sched_setattr", "ioprio_set", "modify_ldt", "set_thread_area", "get_thread_area",
		}},
		{verdict: notThere, names: []string{
			// The older asynchronous input and output; io_uring is closed to all.
			"io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents",
			// Queues of messages: kernel memory of a size and life that the program
			// chooses, which many an exploit is built from.
			"msgget", "msgsnd", "msgrcv", "msgctl",
			"mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
			// Pages under two owners.
			"vmsplice", "tee", "remap_file_pages", "memfd_secret",
			// What other programs have read (the page cache).
			"cachestat",
			// Newer than what C libraries need.
			"statmount", "listmount", "setxattrat", "getxattrat", "listxattrat", "removexattrat",
			"futex_wait", "futex_wake", "futex_requeue", "futex_waitv",
			// Numbers that no kernel answers.
			"epoll_ctl_old", "epoll_wait_old",
		}},
	}
}

// sandboxSockets leaves unix(7), ip(7), ipv6(7), and of netlink(7) what shows interfaces.
func sandboxSockets() []rule {
	var rules []rule
	forbid := func(v verdict, call string, conditions ...condition) {
		rules = append(rules, rule{names: []string{call}, verdict: v, conditions: conditions})
	}
	for family := range uint64(unix.AF_NETLINK) {
		if !slices.Contains([]uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6}, family) {
			forbid(notPermitted, "socket", condition{index: 0, op: specs.OpEqualTo, value: family})
		}
	}
	forbid(notPermitted, "socket", condition{index: 0, op: specs.OpGreaterThan, value: unix.AF_NETLINK})
	forbid(notPermitted, "socket", condition{index: 0, op: specs.OpEqualTo, value: unix.AF_NETLINK}, condition{index: 2, op: specs.OpNotEqual, value: unix.NETLINK_ROUTE})
	forbid(notPermitted, "socketpair", condition{index: 0, op: specs.OpNotEqual, value: unix.AF_UNIX})
	for _, protocol := range []uint64{unix.IPPROTO_DCCP, unix.IPPROTO_L2TP, unix.IPPROTO_SCTP, unix.IPPROTO_UDPLITE, ipprotoSMC, unix.IPPROTO_MPTCP} {
		forbid(unix.SECCOMP_RET_ERRNO|verdict(unix.EPROTONOSUPPORT), "socket", condition{index: 2, op: specs.OpMaskedEqual, mask: 0xffffffff, value: protocol})
	}
	return rules
}

// ipprotoSMC is IPPROTO_SMC of Linux 6.11.
const ipprotoSMC = 256

// sandboxArguments closes some of what a call can be asked for.
func sandboxArguments() []rule {
	var rules []rule
	forbid := func(call string, c condition) {
		rules = append(rules, rule{names: []string{call}, verdict: notPermitted, conditions: []condition{c}})
	}
	// A terminal's line disciplines, among them drivers of modems, and the console.
	for _, request := range []uint64{unix.TIOCSETD, unix.TIOCCONS, unix.TIOCVHANGUP} {
		forbid("ioctl", condition{index: 1, op: specs.OpMaskedEqual, mask: 0xffffffff, value: request})
	}
	// Of the personalities that Docker's profile has: all but the one that there is.
	for _, persona := range []uint64{0x8, 0x20000, 0x20008} {
		forbid("personality", condition{index: 0, op: specs.OpEqualTo, value: persona})
	}
	for _, kind := range []uint64{unix.S_IFCHR, unix.S_IFBLK} {
		forbid("mknod", condition{index: 1, op: specs.OpMaskedEqual, mask: unix.S_IFMT, value: kind})
		forbid("mknodat", condition{index: 2, op: specs.OpMaskedEqual, mask: unix.S_IFMT, value: kind})
	}
	return rules
}
