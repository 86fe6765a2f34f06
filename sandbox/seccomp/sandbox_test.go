package seccomp

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
	"rootlet/internal/testenv"
)

func sandbox(t *testing.T) *Profile {
	t.Helper()
	p, err := sandboxProfile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The kernel makes no difference: what there is has been compiled for one.
func TestSandboxIsForEveryKernel(t *testing.T) {
	for _, kernel := range [][2]int{{3, 17}, {4, 7}, {4, 8}, {6, 18}} {
		f, err := sandbox(t).Compile(Machine{Arch: runtime.GOARCH, Kernel: kernel, HasCap: func(string) bool { return false }})
		if err != nil || !slices.Equal(f.Code, Sandbox().Code) || f.Flags != Sandbox().Flags {
			t.Errorf("Linux %v: another filter, or %v", kernel, err)
		}
	}
}

// leastClosed is how many calls of amd64's the sandbox promises to close.
const leastClosed = 110

func TestWhatASandboxCloses(t *testing.T) {
	code := compiled(t, sandbox(t), machineWith("amd64"))
	var closed []string
	for _, c := range syscalls.Table {
		if nr := c.Numbers[amd64]; nr >= 0 && !everPermitted(t, code, uint32(nr)) {
			closed = append(closed, c.Name)
		}
	}
	if len(closed) < leastClosed {
		t.Errorf("%d calls are closed, want %d", len(closed), leastClosed)
	}
	testenv.Golden(t, "sandbox.golden", fmt.Sprintf("# %d calls of amd64\n%s\n", len(closed), strings.Join(closed, "\n")))
}

// everPermitted says whether some arguments open a call.
func everPermitted(t *testing.T, code []unix.SockFilter, nr uint32) bool {
	t.Helper()
	return slices.ContainsFunc(someArguments(), func(args [6]uint64) bool {
		v, _, err := run(code, data{nr: nr, arch: amd64.audit(), args: args})
		if err != nil {
			t.Fatal(err)
		}
		return v.permits()
	})
}

// someArguments has those that rules are about, in every place.
func someArguments() [][6]uint64 {
	list := [][6]uint64{{}, {2, 1}, {16, 3}, {1, 2, 3, 4, 5, 6}}
	for _, x := range []uint64{
		0, 1, 2, 3, 8, 9, 10, 16, 17, 29, 31, 33, 38, 40, 44, 132, 256, 262, 0x20000, 0x20008, 0xffffffff,
		unix.TIOCSTI, unix.TIOCLINUX, unix.TIOCSETD, unix.TCGETS, unix.S_IFCHR | 0o600, unix.S_IFBLK, unix.S_IFIFO, unix.CLONE_NEWUSER,
	} {
		for i := range 6 {
			for _, high := range []uint64{0, 1 << 32} {
				args := [6]uint64{2, 1}
				args[i] = x | high
				list = append(list, args)
			}
		}
	}
	return list
}

// The default may have any capability that a container can: what it forbids with none of
// them, and under each, is forbidden in a sandbox.
func TestASandboxIsNeverLaxer(t *testing.T) {
	docker, err := Docker()
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		inside := compiled(t, sandbox(t), machineWith(arch))
		for _, caps := range [][]string{nil, {"CAP_SYS_CHROOT"}} {
			usually := compiled(t, docker, machineWith(arch, caps...))
			for _, audit := range audits {
				for _, nr := range everyNumber() {
					for _, args := range someArguments() {
						d := data{nr: nr, arch: audit, args: args}
						of, _, err1 := run(inside, d)
						than, _, err2 := run(usually, d)
						if err1 != nil || err2 != nil || of.permits() && !than.permits() {
							t.Fatalf("%s: %+v: %#x in a sandbox, %#x otherwise (%v, %v)", arch, d, of, than, err1, err2)
						}
					}
				}
			}
		}
	}
}

func TestWhatASandboxMayDo(t *testing.T) {
	const high = 1 << 32
	noProtocol := unix.SECCOMP_RET_ERRNO | verdict(unix.EPROTONOSUPPORT)
	for _, arch := range []string{"amd64", "arm64"} {
		m := machineWith(arch)
		code := compiled(t, sandbox(t), m)
		for _, c := range []struct {
			call string
			args []uint64
			want verdict
		}{
			{"read", nil, allowed},
			{"execveat", nil, allowed},
			{"seccomp", nil, allowed},
			{"landlock_restrict_self", nil, allowed},
			{"clone", []uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, allowed},
			{"clone", []uint64{unix.CLONE_NEWUSER}, refused},
			{"clone3", nil, noSuch},
			{"unshare", []uint64{unix.CLONE_NEWUSER}, refused},
			{"setns", nil, refused},
			{"mount", nil, refused},
			{"chroot", nil, refused},
			{"ptrace", nil, refused},
			{"process_vm_writev", nil, refused},
			{"kcmp", nil, refused},
			{"pidfd_getfd", nil, refused},
			{"io_uring_setup", nil, refused},
			{"userfaultfd", nil, refused},
			{"keyctl", nil, refused},
			{"bpf", nil, refused},
			{"name_to_handle_at", nil, refused},
			{"io_setup", nil, noSuch},
			{"msgget", nil, noSuch},
			{"socket", []uint64{unix.AF_UNIX, unix.SOCK_STREAM}, allowed},
			{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}, allowed},
			{"socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}, allowed},
			{"socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6}, allowed},
			{"socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, allowed},
			{"socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, refused},
			{"socket", []uint64{unix.AF_NETLINK | high, unix.SOCK_RAW, unix.NETLINK_NETFILTER | high}, refused},
			{"socket", []uint64{unix.AF_PACKET, unix.SOCK_RAW}, refused},
			{"socket", []uint64{unix.AF_ALG}, refused},
			{"socket", []uint64{unix.AF_VSOCK | high}, refused},
			{"socket", []uint64{unix.AF_TIPC}, refused},
			{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, noProtocol},
			{"socket", []uint64{unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP | high}, noProtocol},
			{"socketpair", []uint64{unix.AF_UNIX}, allowed},
			{"socketpair", []uint64{unix.AF_TIPC}, refused},
			{"ioctl", []uint64{0, unix.TCGETS}, allowed},
			{"ioctl", []uint64{0, unix.TIOCSTI | high}, refused},
			{"ioctl", []uint64{0, unix.TIOCSETD | high}, refused},
			{"personality", []uint64{0}, allowed},
			{"personality", []uint64{0xffffffff}, allowed},
			{"personality", []uint64{0x20008}, refused},
			{"mknodat", []uint64{0, 0, unix.S_IFIFO | 0o600}, allowed},
			{"mknodat", []uint64{0, 0, unix.S_IFCHR | 0o600}, refused},
			{"mknodat", []uint64{0, 0, unix.S_IFBLK | high}, refused},
		} {
			if got := verdictBy(t, code, m.runs()[0], c.call, c.args...); got != c.want {
				t.Errorf("%s: %s%#x: %#x, want %#x", arch, c.call, c.args, got, c.want)
			}
		}
	}
}

// i386 has socketcall, whose arguments no filter sees.
func TestASandboxHasOneArchitecture(t *testing.T) {
	for arch, others := range map[string][]uint32{"amd64": {unix.AUDIT_ARCH_I386}, "arm64": {unix.AUDIT_ARCH_ARM}} {
		code := compiled(t, sandbox(t), machineWith(arch))
		for _, nr := range everyNumber() {
			for _, audit := range others {
				if got, _, err := run(code, data{nr: nr, arch: audit}); err != nil || got != unix.SECCOMP_RET_KILL_PROCESS {
					t.Fatalf("%s: %d of %#x: %#x, %v", arch, nr, audit, got, err)
				}
			}
			if got, _, err := run(code, data{nr: nr | x32Bit, arch: amd64.audit()}); arch == "amd64" && (err != nil || got != noSuch) {
				t.Fatalf("%d of x32: %#x, %v", nr, got, err)
			}
		}
	}
}
