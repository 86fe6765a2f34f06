package reportcard

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// How a filter is asked and no call made: of several filters the strictest verdict holds,
// and "ask a supervisor" is laxer than a refusal. So the thread that asks gets one more
// filter, which sends each call that bears a mark in its last argument to a supervisor,
// who answers unmade. That answer is seen if, and only if, all other filters would have
// let the call through (seccomp_unotify(2)).

const (
	mark = 0x5eccade5
	// unmade is an errno that the kernel does not have.
	unmade = 4000

	// Allowed is the verdict on a call that is let through.
	Allowed = "allowed"

	killed = "killed"
)

// abi is a way to make system calls: its column in syscalls.Call, and the instruction.
type abi struct {
	name   string
	column int
	call   func(nr, a1, a2, a3, a4, a5, a6 uintptr) uintptr
}

// question is about a call, by name or by number, through one of abis.
type question struct {
	abi    int
	call   string
	number uintptr
	args   [5]uintptr
}

// calls asks about everything.
func calls(c *Card) (err error) {
	c.Calls = map[string]map[string]string{}
	for i, a := range abis {
		if c.Calls[a.name], err = verdicts(a.name, everyCall(i)); err != nil {
			return err
		}
	}
	c.Arguments, err = verdicts(argumentsGroup, withArguments())
	return err
}

// unfiltered are the calls that the kernel's own probes insert: it shows them to no filter,
// and ends who makes them itself (Linux 6.14).
var unfiltered = []string{"uprobe", "uretprobe"}

func everyCall(abi int) map[string]question {
	all := map[string]question{}
	for _, c := range syscalls.Table {
		if nr := c.Numbers[abis[abi].column]; nr >= 0 && !slices.Contains(unfiltered, c.Name) {
			all[c.Name] = question{abi: abi, number: uintptr(nr)}
		}
	}
	return all
}

// argumentsGroup is the name of the questions that are no abi's.
const argumentsGroup = "arguments"

func withArguments() map[string]question {
	const high = 1 << 32
	all := map[string]question{
		"a call of tomorrow's":     {number: 4000},
		"clone3":                   {call: "clone3"},
		"personality, executable":  {call: "personality", args: [5]uintptr{0x0400000}},
		"personality, no random":   {call: "personality", args: [5]uintptr{0x0040000}},
		"ioctl TIOCSTI":            {call: "ioctl", args: [5]uintptr{0, unix.TIOCSTI}},
		"ioctl TIOCSTI, bit 32":    {call: "ioctl", args: [5]uintptr{0, unix.TIOCSTI | high}},
		"ioctl TIOCLINUX":          {call: "ioctl", args: [5]uintptr{0, unix.TIOCLINUX}},
		"ioctl TIOCLINUX, bit 32":  {call: "ioctl", args: [5]uintptr{0, unix.TIOCLINUX | high}},
		"socket AF_ALG":            {call: "socket", args: [5]uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET}},
		"socket AF_ALG, bit 32":    {call: "socket", args: [5]uintptr{unix.AF_ALG | high, unix.SOCK_SEQPACKET}},
		"socket AF_VSOCK":          {call: "socket", args: [5]uintptr{unix.AF_VSOCK, unix.SOCK_STREAM}},
		"socket AF_VSOCK, bit 32":  {call: "socket", args: [5]uintptr{unix.AF_VSOCK | high, unix.SOCK_STREAM}},
		"socket AF_PACKET":         {call: "socket", args: [5]uintptr{unix.AF_PACKET, unix.SOCK_RAW}},
		"socket AF_NETLINK, audit": {call: "socket", args: [5]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}},
		"socket AF_NETLINK, xfrm":  {call: "socket", args: [5]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM}},
		"socket AF_BLUETOOTH":      {call: "socket", args: [5]uintptr{unix.AF_BLUETOOTH, unix.SOCK_RAW}},
		"mknod of a device":        {call: "mknodat", args: [5]uintptr{0, 0, unix.S_IFBLK}},
	}
	for name, flag := range map[string]uintptr{
		"cgroup": unix.CLONE_NEWCGROUP, "ipc": unix.CLONE_NEWIPC, "mount": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET,
		"pid": unix.CLONE_NEWPID, "user": unix.CLONE_NEWUSER, "uts": unix.CLONE_NEWUTS,
	} {
		all["clone, new "+name] = question{call: "clone", args: [5]uintptr{flag}}
		all["unshare, new "+name] = question{call: "unshare", args: [5]uintptr{flag}}
	}
	maps.Copy(all, other)
	return all
}

// verdicts asks one group of questions, in processes of their own, as a filter may kill
// who asks. Where it does so at the first two, it does so always.
func verdicts(group string, questions map[string]question) (map[string]string, error) {
	found := map[string]string{}
	names := sortedKeys(questions)
	deaths := 0
	for len(found) < len(names) {
		next := len(found)
		if deaths > 1 && deaths == next {
			for _, name := range names[next:] {
				found[name] = killed
			}
			break
		}
		how, err := askFrom(group, next, names, found)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", group, err)
		}
		if len(found) < len(names) {
			found[names[len(found)]] = how
			deaths++
		}
	}
	return found, nil
}

// askFrom notes the answers until the process ends, and says how it ended.
func askFrom(group string, next int, names []string, found map[string]string) (how string, err error) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), fmt.Sprintf("%s=ask %d %s", stageKey, next, group))
	out, err := c.StdoutPipe()
	if err != nil {
		return "", err
	}
	var trouble strings.Builder
	c.Stderr = &trouble
	if err := c.Start(); err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		found[names[len(found)]] = lines.Text()
	}
	ended := c.Wait()
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ended == nil:
		return "", nil
	case status.Signaled() && status.Signal() == unix.SIGSYS:
		return killed, nil
	case strings.Contains(trouble.String(), "SIGSYS"):
		return killed, nil // by a trap, which Go's runtime tells of
	case strings.Contains(trouble.String(), "SIGSEGV"):
		return "absent", nil // the kernel has no such way
	}
	return "", fmt.Errorf("asking about %s: %w: %s", names[len(found)], ended, trouble.String())
}

// answer is the process that asks: from which question on, and the group.
func answer(what string) {
	var next int
	var group string
	if _, err := fmt.Sscan(what, &next, &group); err != nil {
		fatal(err)
	}
	questions := withArguments()
	for i, a := range abis {
		if a.name == group {
			questions = everyCall(i)
		}
	}
	// The supervisor is a thread of this process, and has to run while the one that asks
	// waits in a call that the scheduler does not know of.
	runtime.GOMAXPROCS(4)
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	listener, err := interpose()
	if err != nil {
		fatal(err)
	}
	go supervise(listener)
	if got := ask(question{call: "getpid"}); abis[0].name == group && got != Allowed {
		fatal(fmt.Errorf("getpid: %s: nothing can be asked", got))
	}
	for _, name := range sortedKeys(questions)[next:] {
		fmt.Println(ask(questions[name]))
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func ask(q question) string {
	nr := q.number
	for _, c := range syscalls.Table {
		if c.Name == q.call {
			nr = uintptr(c.Numbers[abis[q.abi].column])
		}
	}
	result := int(abis[q.abi].call(nr, q.args[0], q.args[1], q.args[2], q.args[3], q.args[4], mark))
	switch {
	case result == -unmade:
		return Allowed
	case result < 0 && result > -unmade:
		return unix.ErrnoName(syscall.Errno(-result))
	}
	return fmt.Sprintf("result %d", result) // a filter that says it was done
}

func raw(nr, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	result, _, errno := unix.RawSyscall6(nr, a1, a2, a3, a4, a5, a6)
	if errno != 0 {
		return -uintptr(errno)
	}
	return result
}

// interpose gives this thread the filter that sends marked calls to the supervisor.
func interpose() (listener int, err error) {
	const lastArgument = 16 + 5*8 // offsetof(struct seccomp_data, args[5])
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: lastArgument},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: mark, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}

// supervise answers unmade to everything.
func supervise(listener int) {
	for {
		var notice struct { // struct seccomp_notif
			id         uint64
			pid, flags uint32
			data       [64]byte
		}
		var reply struct { // struct seccomp_notif_resp
			id    uint64
			val   int64
			errno int32
			flags uint32
		}
		const receive, send = 0xc0502100, 0xc0182101
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), receive, uintptr(unsafe.Pointer(&notice))); errno != 0 {
			continue
		}
		reply.id, reply.errno = notice.id, -unmade
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), send, uintptr(unsafe.Pointer(&reply)))
	}
}
