package reportcard

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Works is the outcome of an attempt that was not refused.
const Works = "works"

// tries are made in earnest. What they make is gone with the process that made it.
var tries = map[string]func() error{
	"new user namespace":        func() error { return clone(unix.CLONE_NEWUSER) },
	"new network namespace":     func() error { return clone(unix.CLONE_NEWNET) },
	"new mount namespace":       func() error { return clone(unix.CLONE_NEWNS) },
	"new user, mount and net":   func() error { return clone(unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET) },
	"a file system (fsopen)":    func() error { return made(unix.Fsopen("tmpfs", 0)) },
	"the session keyring":       func() error { return made(unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, -3, 0, 0, 0)) },
	"a key of one's own":        func() error { return made(unix.AddKey("user", "probe", []byte("x"), -1)) },
	"the kernel's log (syslog)": func() error { return made(unix.Klogctl(10, nil)) },
	"socket AF_ALG":             func() error { return made(unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0)) },
	"socket AF_VSOCK":           func() error { return made(unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)) },
	"socket AF_PACKET":          func() error { return made(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)) },
	"socket, raw ICMP":          func() error { return made(unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)) },
	"userfaultfd":               func() error { return rawly(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|1) }, // of user mode's faults only
	"perf_event_open":           perfEvent,
	"a map for bpf":             bpfMap,
	"an io_uring":               ioUring,
	"a device (mknod)":          device,
	"chroot":                    func() error { return unix.Chroot("/") },
	"a host name":               hostName,
	"watching another program":  trace,
}

// attempts makes each of the tries in a process of its own.
func attempts(c *Card) error {
	c.Attempts = map[string]string{}
	for name := range tries {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), stageKey+"=attempt "+name)
		out, err := cmd.Output()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case err == nil:
			c.Attempts[name] = strings.TrimSpace(string(out))
		case status.Signaled() && status.Signal() == unix.SIGSYS:
			c.Attempts[name] = killed
		default:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// nothing is what a process tries that is only there to be started.
const nothing = "nothing"

// attempt prints the outcome of one.
func attempt(name string) {
	if name == nothing {
		return
	}
	var errno syscall.Errno
	err := tries[name]()
	switch {
	case err == nil:
		fmt.Println(Works)
	case errors.As(err, &errno):
		fmt.Println(unix.ErrnoName(errno))
	default:
		fmt.Println(err)
	}
}

func made(_ int, err error) error { return err }

func rawly(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// clone starts this program, which does nothing then, in new namespaces.
func clone(flags uintptr) error {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{stageKey + "=attempt " + nothing}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	return c.Run()
}

func hostName() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return unix.Sethostname([]byte(name))
}

// device makes /dev/null once more, where it can be removed again.
func device() error {
	dir, err := os.MkdirTemp("/tmp", "probe")
	if err != nil {
		if dir, err = os.MkdirTemp("/dev/shm", "probe"); err != nil {
			return err
		}
	}
	defer os.RemoveAll(dir)
	return unix.Mknod(dir+"/null", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
}

// trace watches a program that it has started itself.
func trace() error {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{stageKey + "=attempt " + nothing}
	in, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := c.Start(); err != nil {
		return err
	}
	err = unix.PtraceSeize(c.Process.Pid)
	return errors.Join(err, c.Process.Kill())
}

func perfEvent() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	return made(unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC))
}
