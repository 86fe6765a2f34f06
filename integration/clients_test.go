package integration

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// Clients that do not behave, be they a person's own or whatever else connects to
// a monitor's socket: threats.md, F29 and 38.

// socket is a container's, under a name that has room in an address.
func (p *person) socket(name string) string {
	p.t.Helper()
	home := strings.TrimPrefix(p.env[0], "HOME=")
	path := filepath.Join(home, ".local/share/rootlet/containers", p.inspect(name, ".Id"), "socket")
	short := filepath.Join(p.runtime(), "link")
	_ = os.Remove(short)
	if err := os.Symlink(path, short); err != nil {
		p.t.Fatal(err)
	}
	return short
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Garbage, clients that say nothing, and a thousand of them, cost a monitor
// nothing that it does not get over.
func TestControlSocketIsAttacked(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("run", "-d", "--name", "it", image, "sleep", "1000")
	monitor, socket := p.monitor("it"), p.socket("it")

	garbage := bytes.Repeat([]byte{0xff, 0x01, 0x7f, 0}, 10<<20/4)
	announced := binary.BigEndian.AppendUint32([]byte{2}, 8<<20-1) // a frame of almost what a stage may send
	notJSON := append(binary.BigEndian.AppendUint32([]byte{2}, 8), "{{{{{{{{"...)
	for _, text := range [][]byte{garbage, announced, append(announced, garbage...), notJSON, {2}, {}} {
		conn := dial(t, socket)
		_, _ = conn.Write(text) // it may hang up in the middle
		conn.Close()
	}
	p.rootlet("exec", "it", "true")
	bounded(t, monitor)

	var all []net.Conn
	for range 1000 {
		all = append(all, dial(t, socket))
	}
	began := time.Now()
	p.rootlet("kill", "-s", "CONT", "it")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a client behind a thousand silent ones waits %v", took)
	}
	bounded(t, monitor)
	for _, conn := range all {
		conn.Close()
	}
	slow := dial(t, socket)
	defer slow.Close()
	for _, b := range notJSON[:6] {
		_, _ = slow.Write([]byte{b})
		p.rootlet("kill", "-s", "CONT", "it")
	}
	if p.monitor("it") != monitor || p.state("it") != "running" {
		t.Error("it is another monitor, or the container does not run")
	}
	until(t, "to sleep again", func() bool { return sleeps(monitor) })
	p.rootlet("stop", "-t", "0", "it")
	p.rootlet("rm", "it")
}

// bounded fails the test where a monitor has taken more memory, at any time since it last
// woke up, than clients can make it.
func bounded(t *testing.T, monitor int) {
	t.Helper()
	const most = 64 << 10 // KiB; one that has just begun has 20
	peak, err := strconv.Atoi(strings.TrimSuffix(statusOf(monitor, "VmHWM"), " kB"))
	if err != nil || peak > most {
		t.Errorf("the monitor has taken %d KiB, %v", peak, err)
	}
}

// A client that has stopped reading, though it is attached to a program that
// writes, keeps nobody from ending and removing the container.
func TestClientStopsReading(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	for _, end := range [][]string{{"stop", "-t", "0", "it"}, {"rm", "-f", "it"}, {"kill", "it"}} {
		c := p.command("run", "--name", "it", image, "sh", "-c", "while :; do echo much to read; done")
		c.Stdout = new(strings.Builder)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "to run", func() bool { return p.state("it") == "running" })
		_ = c.Process.Signal(unix.SIGSTOP)
		time.Sleep(100 * time.Millisecond) // until all there is is full
		began := time.Now()
		if s := p.state("it"); s != "running" {
			t.Errorf("ps shows it %s", s)
		}
		p.rootlet(end...)
		within(t, soon, "ps says so", func() bool { return p.state("it") != "running" })
		if end[0] != "rm" {
			p.rootlet("rm", "it")
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%v took %v", end, took)
		}
		// Nothing of what was on its way is lost, nor its end.
		_ = c.Process.Signal(unix.SIGCONT)
		if code := exitCode(t, c.Wait()); code != 137 {
			t.Errorf("the client's exit code is %d", code)
		}
		if text := c.Stdout.(*strings.Builder).String(); !strings.HasSuffix(text, "much to read\n") && len(text) < 64<<10 {
			t.Errorf("it has read %d bytes only", len(text))
		}
	}
}

// A signal to a client that is attached, or waits, ends it or goes to the
// program, and leaves a container that works. SIGTSTP stops the client alone.
func TestClientsAreSignalled(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	for _, args := range [][]string{
		{"start", "-a", "-i", "it"},
		{"attach", "it"},
		{"exec", "-i", "it", "sleep", "1000"},
		{"logs", "-f", "it"},
		{"wait", "it"},
		{"stop", "-t", "60", "it"},
		{"events"},
	} {
		for _, signal := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE, unix.SIGTSTP} {
			p.rootlet("create", "-i", "--name", "it", "--network", "none", image, "sh", "-c", "trap 'exit 3' INT TERM HUP; trap : PIPE; echo up; while :; do sleep 0.02; done")
			if args[0] != "start" {
				p.rootlet("start", "it")
			}
			if args[0] == "stop" {
				p.rootlet("pause", "it")
				p.rootlet("unpause", "it")
			}
			c := p.command(args...)
			stdin, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			until(t, "to have its traps", func() bool { return p.rootlet("logs", "it") == "up\n" })
			time.Sleep(50 * time.Millisecond)
			_ = c.Process.Signal(signal)
			if signal == unix.SIGTSTP {
				time.Sleep(20 * time.Millisecond)
				_ = c.Process.Signal(unix.SIGCONT)
				_ = c.Process.Signal(unix.SIGKILL)
			}
			if signal == unix.SIGPIPE {
				_ = c.Process.Signal(unix.SIGTERM) // it is no word to the program
			}
			ended := make(chan int, 1)
			go func() { ended <- exitCode(t, c.Wait()) }()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Errorf("%v does not end by %v", args, signal)
				_ = c.Process.Kill()
				<-ended
			}
			stdin.Close()
			p.rootlet("rm", "-f", "it")
		}
	}
}

// The same at a terminal, which has to be as it was before.
func TestTerminalIsRestoredAfterSignals(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	testenv.NeedProgram(t, "tmux")
	term := newTerminal(p)
	p.rootlet("create", "-it", "--name", "it", image, "sh", "-c", "echo it is up; exec sleep 1000")
	term.types("stty -a >$HOME/before; clear")
	pidFile := filepath.Join(p.home(), "pid")
	for _, command := range []string{"start -ai it", "attach it", "exec -it it sleep 1000"} {
		for _, signal := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP} {
			if !strings.HasPrefix(command, "start") {
				p.rootlet("start", "it")
			}
			_ = os.Remove(pidFile)
			term.types("clear; rootlet " + command + " & echo $! >$HOME/pid; fg; stty -a >$HOME/after; clear; cmp $HOME/before $HOME/after && echo as it was")
			var text []byte
			until(t, "to run", func() bool {
				text, _ = os.ReadFile(pidFile)
				return len(text) > 0 && p.state("it") == "running"
			})
			time.Sleep(200 * time.Millisecond)
			signalPid(t, strings.TrimSpace(string(text)), signal)
			if !strings.HasPrefix(command, "exec") {
				time.Sleep(50 * time.Millisecond)
				p.rootlet("kill", "it") // sleep, as pid 1, does not hear of it
			}
			term.shows(`^as it was$`)
			term.asks()
			term.types("clear")
			p.rootlet("stop", "-t", "0", "it")
		}
	}
	p.rootlet("rm", "-f", "it")
}

func signalPid(t *testing.T, text string, signal syscall.Signal) {
	t.Helper()
	pid, err := strconv.Atoi(text)
	if err == nil {
		err = unix.Kill(pid, signal)
	}
	if err != nil {
		t.Fatalf("signal %q: %v", text, err)
	}
}
