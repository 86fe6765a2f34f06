package sleeper

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestItSleepsUntilSomethingHappens has the sleeper execute a real program, with
// arguments and environment, only once its epoll descriptor has something.
func TestItSleepsUntilSomethingHappens(t *testing.T) {
	binary, err := exec.LookPath("env")
	if err != nil {
		t.Fatal(err) // coreutils: essential everywhere
	}
	program, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	epoll, wake := watched(t)
	defer epoll.Close()
	defer wake.Close()

	signals, found := blocked(t), memory(t)
	// exec.Cmd numbers its ExtraFiles from 3 on.
	file, err := New(Descriptors{Epoll: 3, Binary: 4, Signals: 5, Found: 6})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out strings.Builder
	cmd := exec.Command("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
	cmd.Args = []string{"env", "A=1"}
	cmd.Env = []string{"B=2"}
	cmd.ExtraFiles = []*os.File{epoll, program, signals, found}
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	before := switches(t, cmd.Process.Pid)
	time.Sleep(300 * time.Millisecond)
	if n := switches(t, cmd.Process.Pid) - before; n != 0 {
		t.Errorf("woke up %d times with nothing to do", n)
	}
	if _, err := wake.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "B=2\nA=1\n" {
		t.Errorf("it executed something else: %q", got)
	}
	if info, err := found.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("a signal was found and none sent: %v, %v", info.Size(), err)
	}
}

// blocked is a descriptor that no signal comes from.
func blocked(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.Signalfd(-1, new(unix.Sigset_t), unix.SFD_CLOEXEC|unix.SFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "signals")
	t.Cleanup(func() { f.Close() })
	return f
}

func memory(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "found")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// watched is an epoll descriptor, and a pipe's end that a write to wakes it by.
func watched(t *testing.T) (epoll, wake *os.File) {
	t.Helper()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, int(r.Fd()), &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "epoll"), w
}

// switches counts how often a process was scheduled away: proc_pid_status(5).
func switches(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "_ctxt_switches") {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}
