package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// stageSeccomp is the program in a container that makes calls which it must not make.
const stageSeccomp = "seccomp-probe"

// stageSandbox is the same in a sandbox.
const stageSandbox = "sandbox-probe"

// probedCall is a call of the probe's, with arguments by which it comes to nothing where
// the filter lets it through.
type probedCall struct {
	name string
	call func() error
	// refused is what the builtin filter answers; by is what the kernel answers itself,
	// 0 where that depends on the kernel.
	refused, by syscall.Errno
}

const high = 1 << 32

func probedCalls() []probedCall {
	minusOne := ^uintptr(0)
	return []probedCall{
		{"mount", raw(unix.SYS_MOUNT), unix.EPERM, 0},
		{"umount2", raw(unix.SYS_UMOUNT2), unix.EPERM, 0},
		{"pivot_root", raw(unix.SYS_PIVOT_ROOT), unix.EPERM, 0},
		{"fsopen", raw(unix.SYS_FSOPEN), unix.EPERM, 0},
		{"open_tree", raw(unix.SYS_OPEN_TREE, minusOne), unix.EPERM, 0},
		{"move_mount", raw(unix.SYS_MOVE_MOUNT, minusOne, 0, minusOne), unix.EPERM, 0},
		{"unshare user", raw(unix.SYS_UNSHARE, unix.CLONE_NEWUSER), unix.EPERM, unix.EINVAL}, // it has threads
		{"unshare net", raw(unix.SYS_UNSHARE, unix.CLONE_NEWNET), unix.EPERM, 0},
		{"setns", raw(unix.SYS_SETNS, minusOne), unix.EPERM, unix.EBADF},
		{"clone user", newUser, unix.EPERM, 0},
		{"clone3", raw(unix.SYS_CLONE3), unix.ENOSYS, unix.EINVAL},
		{"keyctl", raw(unix.SYS_KEYCTL, 0xffff), unix.EPERM, unix.EOPNOTSUPP},
		{"add_key", raw(unix.SYS_ADD_KEY), unix.EPERM, unix.EFAULT},
		{"request_key", raw(unix.SYS_REQUEST_KEY), unix.EPERM, unix.EFAULT},
		{"bpf", raw(unix.SYS_BPF, minusOne), unix.EPERM, 0},
		{"perf_event_open", raw(unix.SYS_PERF_EVENT_OPEN), unix.EPERM, 0},
		{"userfaultfd", raw(unix.SYS_USERFAULTFD, 0xffff), unix.EPERM, 0},
		{"io_uring_setup", raw(unix.SYS_IO_URING_SETUP), unix.EPERM, 0},
		{"open_by_handle_at", raw(unix.SYS_OPEN_BY_HANDLE_AT, minusOne), unix.EPERM, 0},
		{"kexec_load", raw(unix.SYS_KEXEC_LOAD, 0, 0, 0, minusOne), unix.EPERM, 0},
		{"init_module", raw(unix.SYS_INIT_MODULE), unix.EPERM, 0},
		{"swapon", raw(unix.SYS_SWAPON), unix.EPERM, 0},
		{"socket AF_ALG", raw(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET), unix.EPERM, 0},
		{"socket AF_ALG, upper half", raw(unix.SYS_SOCKET, unix.AF_ALG|high, unix.SOCK_SEQPACKET), unix.EPERM, 0},
		{"socket AF_VSOCK", raw(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM), unix.EPERM, 0},
		{"ioctl TIOCSTI", raw(unix.SYS_IOCTL, 0, unix.TIOCSTI), unix.EPERM, unix.ENOTTY},
		{"ioctl TIOCSTI, upper half", raw(unix.SYS_IOCTL, 0, unix.TIOCSTI|high), unix.EPERM, unix.ENOTTY},
		{"ioctl TIOCLINUX", raw(unix.SYS_IOCTL, 0, unix.TIOCLINUX|high), unix.EPERM, unix.ENOTTY},
		{"personality", raw(unix.SYS_PERSONALITY, 0x40000), unix.EPERM, 0},
		{"a call of tomorrow's", raw(4000), unix.ENOSYS, unix.ENOSYS},
		{"socket AF_INET", raw(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM), 0, 0},
		{"ioctl TCGETS", raw(unix.SYS_IOCTL, 0, unix.TCGETS), unix.ENOTTY, unix.ENOTTY},
	}
}

// sandboxCalls are those and the ones that a sandbox closes besides.
func sandboxCalls() []probedCall {
	return append(probedCalls(), []probedCall{
		{"ptrace", raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1), unix.EPERM, 0},
		{"process_vm_readv", raw(unix.SYS_PROCESS_VM_READV, 1), unix.EPERM, 0},
		{"process_vm_writev", raw(unix.SYS_PROCESS_VM_WRITEV, 1), unix.EPERM, 0},
		{"kcmp", raw(unix.SYS_KCMP, 1, 1), unix.EPERM, 0},
		{"name_to_handle_at", raw(unix.SYS_NAME_TO_HANDLE_AT), unix.EPERM, 0},
		{"chroot", raw(unix.SYS_CHROOT), unix.EPERM, 0},
		{"io_setup", raw(unix.SYS_IO_SETUP), unix.ENOSYS, 0},
		{"msgget", raw(unix.SYS_MSGGET), unix.ENOSYS, 0},
		{"mq_open", raw(unix.SYS_MQ_OPEN), unix.ENOSYS, 0},
		{"vmsplice", raw(unix.SYS_VMSPLICE), unix.ENOSYS, 0},
		{"socket AF_PACKET", raw(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW), unix.EPERM, 0},
		{"socket AF_NETLINK, netfilter", raw(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), unix.EPERM, 0},
		{"socket AF_NETLINK, route", raw(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), 0, 0},
		{"socket of MPTCP", raw(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP|high), unix.EPROTONOSUPPORT, 0},
		{"ioctl TIOCSETD", raw(unix.SYS_IOCTL, 0, unix.TIOCSETD|high), unix.EPERM, unix.ENOTTY},
		{"mknod of a device", raw(unix.SYS_MKNODAT, 0, 0, unix.S_IFCHR), unix.EPERM, 0},
		{"a call of x32's", raw(0x40000000), unix.ENOSYS, 0},
	}...)
}

// raw makes a call.
func raw(nr uintptr, args ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			return nil
		}
		return errno
	}
}

// newUser starts a program in a user namespace of its own.
func newUser() error {
	c := exec.Command("/bin/true")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	return c.Run()
}

// seccompProbe prints what became of each call.
func seccompProbe(calls []probedCall) error {
	for _, p := range calls {
		var errno syscall.Errno
		if err := p.call(); err != nil && !errors.As(err, &errno) {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("%s: %d\n", p.name, int(errno))
	}
	return nil
}

// TestSystemCallsOfAContainer has a program try what a container must not do, in all the
// ways to start one.
func TestSystemCallsOfAContainer(t *testing.T) {
	testenv.NeedUser(t) // what the filter lets through by mistake must do no harm
	p, image := someone(t, "busybox")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	probe := []string{"-v", binary + ":/probe:ro", "-e", stageKey + "=" + stageSeccomp}
	run := func(flags ...string) string {
		return p.rootlet(slices.Concat([]string{"run", "--rm", "--network", "none"}, probe, flags, []string{image, "/probe"})...)
	}
	p.rootlet(slices.Concat([]string{"run", "-d", "--name", "up", "--network", "none"}, probe, []string{image, "sleep", "1000"})...)
	for name, printed := range map[string]string{
		"run":               run(),
		"run, no new privs": run("--security-opt", "no-new-privileges"),
		"run --init":        run("--init", "--security-opt", "seccomp=builtin"),
		"run as a user":     run("-u", "0:0", "--cap-drop", "ALL"),
		"exec":              p.rootlet("exec", "up", "/probe"),
		"exec -u":           p.rootlet("exec", "-u", "0", "-w", "/", "up", "/probe"),
	} {
		checkProbe(t, name, printed, probedCalls(), refusedAlways)
	}
	if testenv.Kind() != testenv.WithoutSubIDs {
		checkProbe(t, "run as another", run("-u", "1000"), probedCalls(), refusedAlways)
	}
	checkProbe(t, "unconfined", run("--security-opt", "seccomp=unconfined"), probedCalls(), func(c probedCall) (syscall.Errno, bool) { return c.by, c.by != 0 })

	// Capabilities open what they are about, and nothing else.
	opens := []string{"unshare user", "setns", "clone3"}
	for name, printed := range map[string]string{
		"with CAP_SYS_ADMIN": run("--cap-add", "SYS_ADMIN"),
		"exec --privileged":  p.rootlet("exec", "--privileged", "up", "/probe"),
	} {
		checkProbe(t, name, printed, probedCalls(), func(c probedCall) (syscall.Errno, bool) {
			if slices.Contains(opens, c.name) {
				return c.by, true
			}
			always := strings.HasPrefix(c.name, "ioctl") || strings.HasPrefix(c.name, "socket") || strings.HasSuffix(c.name, "_key") || c.name == "keyctl"
			return c.refused, always
		})
	}
	p.rootlet("rm", "-f", "up")
}

func refusedAlways(c probedCall) (syscall.Errno, bool) { return c.refused, true }

// checkProbe compares what the probe printed with what is wanted of each call, if that
// is known.
func checkProbe(t *testing.T, name, printed string, calls []probedCall, want func(probedCall) (syscall.Errno, bool)) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	if len(lines) != len(calls) {
		t.Errorf("%s: the probe printed\n%s", name, printed)
		return
	}
	for i, c := range calls {
		if errno, known := want(c); known && lines[i] != fmt.Sprintf("%s: %d", c.name, int(errno)) {
			t.Errorf("%s: %s, want %d", name, lines[i], int(errno))
		}
	}
}
