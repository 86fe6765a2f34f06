package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// Faults of threats.md, section 4.3: what becomes of a container when a process
// that it needs dies, or a file is damaged.

// soon is how long ps may show what is no longer so.
const soon = 2 * time.Second

// in is the same person in a subtest.
func (p *person) in(t *testing.T) *person { return &person{t, p.env, p.binary} }

// inspect is a field of a container.
func (p *person) inspect(name, field string) string {
	p.t.Helper()
	return strings.TrimSpace(p.rootlet("inspect", "-f", "{{"+field+"}}", name))
}

// pid is a container's first process, and monitor its parent.
func (p *person) pid(name string) int {
	p.t.Helper()
	pid, err := strconv.Atoi(p.inspect(name, ".State.Pid"))
	if err != nil || pid == 0 {
		p.t.Fatalf("%s does not run: %v", name, err)
	}
	return pid
}

func (p *person) monitor(name string) int {
	p.t.Helper()
	monitor, err := strconv.Atoi(statusOf(p.pid(name), "PPid"))
	if err != nil || monitor < 2 {
		p.t.Fatalf("the monitor of %s has the pid %d: %v", name, monitor, err)
	}
	return monitor
}

// statusOf is a field of proc_pid_status(5), empty where there is no process.
func statusOf(pid int, field string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut("\n"+string(text), "\n"+field+":")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

// gone reports whether a process has ended.
func gone(pid int) bool {
	state := statusOf(pid, "State")
	return state == "" || state[0] == 'Z'
}

// sleeps reports whether a monitor sleeps: no Go program has but one thread.
func sleeps(pid int) bool { return statusOf(pid, "Threads") == "1" }

// child is a process below another that runs a program.
func (p *person) child(of int, word string) int {
	p.t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		line, _ := os.ReadFile(dir + "/cmdline")
		program, _, _ := strings.Cut(string(line), "\x00")
		if statusOf(pid, "PPid") == strconv.Itoa(of) && filepath.Base(program) == word {
			return pid
		}
	}
	p.t.Fatalf("process %d has no child %s", of, word)
	return 0
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

// within fails the test unless it becomes true in time.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// state is what ps shows of a container, empty where it shows none.
func (p *person) state(name string) string {
	p.t.Helper()
	return strings.TrimSpace(p.rootlet("ps", "-a", "--filter", "name=^"+name+"$", "--format", "{{.State}}"))
}

// F7: the kernel takes the container along with its monitor, whatever both are
// at, and everything works afterwards with no manual step.
func TestMonitorIsKilled(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	detached := func(p *person, args ...string) {
		p.rootlet(append([]string{"run", "-d", "--name", "it"}, args...)...)
	}
	for name, prepare := range map[string]func(t *testing.T, p *person){
		"idle": func(t *testing.T, p *person) { detached(p, image, "sleep", "1000") },
		"asleep": func(t *testing.T, p *person) {
			detached(p, image, "sleep", "1000")
			until(t, "to sleep", func() bool { return sleeps(p.monitor("it")) })
		},
		"its program has changed its ids": func(t *testing.T, p *person) {
			if !hasSubIDs() && os.Geteuid() != 0 {
				testenv.NotFor(t, "a second id")
			}
			detached(p, image, "su", "alice", "-s", "/bin/sh", "-c", "exec sleep 1000")
			until(t, "to be alice", func() bool { return strings.HasPrefix(statusOf(p.pid("it"), "Name"), "sleep") })
		},
		"during exec": func(t *testing.T, p *person) {
			detached(p, image, "sleep", "1000")
			c := p.command("exec", "it", "sleep", "1000")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Wait() })
			until(t, "to have joined", func() bool {
				return strings.Contains(p.rootlet("top", "it"), "sleep 1000\n") && strings.Count(p.rootlet("top", "it"), "sleep") > 1
			})
		},
		"during stop": func(t *testing.T, p *person) {
			detached(p, image, "sleep", "1000") // which ignores SIGTERM, as pid 1
			c := p.command("stop", "-t", "60", "it")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Wait() })
			time.Sleep(100 * time.Millisecond)
		},
		"during a write of the log": func(t *testing.T, p *person) { detached(p, image, "sh", "-c", "while :; do echo line; done") },
		"paused": func(t *testing.T, p *person) {
			detached(p, image, "sleep", "1000")
			p.rootlet("pause", "it")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := p.in(t)
			prepare(t, p)
			first := p.pid("it")
			kill(t, p.monitor("it"))
			within(t, soon, "the container is gone", func() bool { return gone(first) })
			within(t, soon, "ps says so", func() bool { return p.state("it") == "exited" })
			if code, why := p.inspect("it", ".State.ExitCode"), p.inspect("it", ".State.Error"); code != "137" || why == "" {
				t.Errorf("exit code %s, error %q", code, why)
			}
			p.rootlet("logs", "it")
			p.rootlet("rm", "it")
			p.rootlet("run", "--rm", "--name", "it", image, "true")
		})
	}
}

// F7, between two lives of a program: there is no first process to find the
// monitor by.
func TestMonitorIsKilledBetweenTwoLives(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("run", "-d", "--name", "it", "--restart", "always", image, "sleep", "0.3")
	monitor := p.monitor("it")
	until(t, "to rest", func() bool { return p.state("it") == "restarting" })
	kill(t, monitor)
	within(t, soon, "ps says so", func() bool { return p.state("it") == "exited" })
	p.rootlet("start", "it")
	p.rootlet("rm", "-f", "it")
}

// F6: a client that is killed changes nothing for the container.
func TestAttachedClientIsKilled(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	c := p.command("run", "-i", "--name", "it", image, "sh", "-c", "trap 'echo heard' USR1; while :; do sleep 0.05; done")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "to run", func() bool { return p.state("it") == "running" })
	kill(t, c.Process.Pid)
	_ = c.Wait()
	time.Sleep(100 * time.Millisecond)
	if s := p.state("it"); s != "running" {
		t.Fatalf("it is %s after its client was killed", s)
	}
	again := p.command("attach", "--sig-proxy=false", "it")
	var output lockedBuffer
	again.Stdout = &output
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "to be heard", func() bool {
		p.rootlet("kill", "-s", "USR1", "it")
		return strings.Contains(output.String(), "heard")
	})
	p.rootlet("kill", "it")
	if code := exitCode(t, again.Wait()); code != 137 {
		t.Errorf("attach: exit code %d, want the program's", code)
	}
	p.rootlet("rm", "it")
}

// lockedBuffer is what a command prints, to be read while it runs.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// Reset forgets what was printed.
func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// F8: a helper of the network that dies is started again, once; then the container
// lives on without a network, and says so. Without its fuse-overlayfs it cannot.
func TestHelperIsKilled(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	for _, asleep := range []bool{false, true} {
		begin := func(t *testing.T, p *person, name string, args ...string) (monitor int) {
			p.rootlet(append(append([]string{"run", "-d", "--name", name}, args...), image, "sleep", "1000")...)
			monitor = p.monitor(name)
			if asleep {
				until(t, "to sleep", func() bool { return sleeps(monitor) })
			}
			return monitor
		}
		for _, driver := range []string{"slirp4netns", "pasta"} {
			t.Run(fmt.Sprintf("%s, asleep %v", driver, asleep), func(t *testing.T) {
				t.Parallel() // it waits for sleep, most of all
				p, it := p.in(t), fmt.Sprint(driver, asleep)
				testenv.NeedProgram(t, driver)
				first := p.child(begin(t, p, it, "--network", driver), driver)
				kill(t, first)
				within(t, time.Second, "it is started again", func() bool { return strings.Contains(p.inspect(it, ".State.Error"), "network was started again") })
				if got := p.rootlet("exec", it, "cat", "/sys/class/net/tap0/mtu"); got != "65520\n" {
					t.Errorf("tap0: %q", got)
				}
				// Once: one that dies again and again is in nobody's interest.
				if asleep {
					until(t, "to sleep", func() bool { return sleeps(p.monitor(it)) })
				}
				second := p.child(p.monitor(it), driver)
				if second == first {
					t.Fatalf("%s is %d still", driver, first)
				}
				kill(t, second)
				within(t, time.Second, "it is reported", func() bool { return strings.Contains(p.inspect(it, ".State.Error"), "network is gone") })
				if s := p.state(it); s != "running" {
					t.Errorf("it is %s without a network", s)
				}
				logs, err := p.command("logs", it).CombinedOutput()
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range []string{"rootlet: the network was started again: " + driver, "rootlet: the network is gone: " + driver} {
					if !strings.Contains(string(logs), line) {
						t.Errorf("the log lacks %q:\n%s", line, logs)
					}
				}
				p.rootlet("stop", "-t", "0", it)
				p.rootlet("start", it) // with a network again
				if why := p.inspect(it, ".State.Error"); why != "" {
					t.Errorf("started anew, it still says %q", why)
				}
				p.rootlet("rm", "-f", it)
			})
		}
		t.Run(fmt.Sprintf("fuse-overlayfs, asleep %v", asleep), func(t *testing.T) {
			t.Parallel()
			p, it := p.in(t), fmt.Sprint("fused", asleep)
			testenv.NeedProgram(t, "fuse-overlayfs")
			testenv.NeedFuse(t)
			if testenv.Kind() == testenv.WithoutSubIDs {
				testenv.NotFor(t, "fuse-overlayfs below U1")
			}
			helper := p.child(begin(t, p, it, "--storage-driver", "fuse-overlayfs"), "fuse-overlayfs")
			// One that is still reading its program would die of that first.
			until(t, "the program sleeps", func() bool {
				pid := p.pid(it)
				return statusOf(pid, "Name") == "sleep" && strings.HasPrefix(statusOf(pid, "State"), "S")
			})
			kill(t, helper)
			within(t, soon, "ps says so", func() bool { return p.state(it) == "exited" })
			if why := p.inspect(it, ".State.Error"); !strings.Contains(why, "fuse-overlayfs") {
				t.Errorf("it says %q", why)
			}
			p.rootlet("start", it)
			p.rootlet("rm", "-f", it)
		})
	}
}

// F9: a first process that somebody kills is like any other end.
func TestFirstProcessIsKilled(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("run", "-d", "--name", "it", image, "sleep", "1000")
	kill(t, p.pid("it"))
	if code := strings.TrimSpace(p.rootlet("wait", "it")); code != "137" {
		t.Errorf("wait says %s", code)
	}
	if oom := p.inspect("it", ".State.OOMKilled"); oom != "false" {
		t.Errorf("OOMKilled is %s", oom)
	}
	p.rootlet("rm", "it")
}

// F30 and a session's end: the runtime directory is emptied, or all of the
// user's processes are killed.
func TestTheSessionEnds(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("run", "-d", "--name", "it", image, "sleep", "1000")
	p.rootlet("run", "-d", "--name", "other", "--restart", "always", image, "sleep", "1000")
	runtime := p.runtime()
	entries, err := os.ReadDir(runtime)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(runtime, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.state("it"); s != "running" {
		t.Errorf("it is %s with an empty runtime directory", s)
	}
	p.rootlet("exec", "it", "true")
	p.rootlet("restart", "-t", "0", "it")
	p.rootlet("run", "--rm", image, "true")

	// Now he logs out: everything of his is killed, in no order.
	all := []int{p.pid("it"), p.pid("other"), p.monitor("it"), p.monitor("other")}
	for _, name := range []string{"it", "other"} {
		all = append(all, childrenOf(p.monitor(name))...)
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, name := range []string{"it", "other"} {
		within(t, soon, "ps says so", func() bool { return p.state(name) == "exited" })
	}
	p.rootlet("start", "it")
	p.rootlet("rm", "-f", "it")
	p.rootlet("rm", "other")
}

func childrenOf(pid int) []int {
	var children []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		child, _ := strconv.Atoi(filepath.Base(dir))
		if statusOf(child, "PPid") == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children
}
