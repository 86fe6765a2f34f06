package integration

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

var soak = flag.Duration("soak", 10*time.Second, "how long TestManyForAWhile takes; 2m is the long form")

// Records that are damaged or out of date, and people who do several things at
// once: threats.md, F15 to F21.

func (p *person) data() string {
	return filepath.Join(strings.TrimPrefix(p.env[0], "HOME="), ".local/share/rootlet")
}

// damages are what a crash, or a disk, makes of a file.
var damages = map[string]func(text []byte) []byte{
	"truncated": func(text []byte) []byte { return text[:len(text)/2] },
	"emptied":   func([]byte) []byte { return nil },
	"zeroed":    func(text []byte) []byte { return make([]byte, len(text)) },
	"one bit flipped": func(text []byte) []byte {
		if len(text) > 0 { // a lock has nothing in it
			text[0] ^= 1 // of a brace, a digit or a letter: never what it was
		}
		return text
	},
}

// F15: a damaged file costs the container that it is of what it said, and nobody
// else anything; rm -f needs no second word.
func TestDamagedFiles(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("run", "-d", "--name", "bystander", "--network", "none", image, "sleep", "1000")
	t.Cleanup(func() { p.rootlet("rm", "-f", "bystander") })
	for _, file := range []string{"spec.json", "state.json", "settings.json", "lock", "log", "driver", "names", "volume.json", "events"} {
		for how, damage := range damages {
			t.Run(file+" "+how, func(t *testing.T) {
				p := p.in(t)
				id := strings.TrimSpace(p.rootlet("run", "-d", "--name", "old", "--network", "none", "-v", "stuff:/stuff", image, "echo", "hello"))
				p.rootlet("wait", "old")
				p.rootlet("rename", "old", "it")
				path := map[string]string{
					"names": filepath.Join(p.data(), "names/it"), "volume.json": filepath.Join(p.data(), "volumes/stuff/volume.json"),
					"events": filepath.Join(p.data(), "events"), "log": filepath.Join(p.data(), "containers", id, "log"),
				}[file]
				if path == "" {
					path = filepath.Join(p.data(), "containers", id, file)
				}
				text, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, damage(append(text, 0)[:len(text)]), 0o600)
				}
				if len(text) == 0 && file != "lock" || err != nil {
					t.Fatalf("there is no %s to damage: %v", path, err)
				}
				rows, _, _ := p.try("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
				if !strings.Contains(rows, " bystander running\n") || !strings.Contains(rows, id) {
					t.Errorf("ps shows\n%s", rows)
				}
				if file == "spec.json" && !strings.Contains(rows, id+" it dead\n") {
					t.Errorf("ps shows\n%s", rows)
				}
				for _, args := range [][]string{{"logs", id}, {"inspect", id}, {"start", id}, {"events", "--since", "1h", "--until", "0s"}, {"volume", "ls"}} {
					_, stderr, _ := p.try(args...)
					if strings.Contains(stderr, "panic") || strings.Contains(stderr, "goroutine") {
						t.Errorf("%v: %s", args, stderr)
					}
				}
				p.rootlet("rm", "-f", id)
				if left, _, _ := p.try("ps", "-a", "-q", "--no-trunc"); strings.Contains(left, id) {
					t.Errorf("it is there still: %s", left)
				}
				p.rootlet("run", "--rm", "--name", "it", "--network", "none", image, "true")
				if _, stderr, code := p.try("volume", "rm", "-f", "stuff"); code != 0 {
					t.Errorf("volume rm: %s", stderr)
				}
				if file == "events" {
					_ = os.Remove(path)
				}
			})
		}
	}
}

// F17: a record that names the pid of somebody else leads no command to him.
func TestStalePid(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	victim := exec.Command("sleep", "1000")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()
	p.rootlet("run", "-d", "--name", "other", "--network", "none", image, "sh", "-c", "echo theirs >/own; exec sleep 1000")
	id := strings.TrimSpace(p.rootlet("run", "-d", "--name", "it", "--network", "none", image, "sleep", "1000"))
	first, monitor := p.pid("it"), p.monitor("it")
	// cp looks for some seconds whether a container comes to rest.
	p.edit(strings.TrimSpace(p.rootlet("run", "-d", "--name", "copied", "--network", "none", image, "sleep", "1000")),
		func(state map[string]any) { state["pid"] = os.Getpid() })
	var copying sync.WaitGroup
	copying.Go(func() {
		if stdout, _, code := p.try("cp", "copied:/own", "-"); code == 0 || strings.Contains(stdout, "theirs") {
			t.Errorf("cp: exit code %d, %q", code, stdout)
		}
	})
	for _, stranger := range []int{os.Getpid(), victim.Process.Pid, p.pid("other"), p.monitor("other")} {
		p.edit(id, func(state map[string]any) { state["pid"] = stranger })
		for _, args := range [][]string{{"exec", "it", "cat", "/own"}, {"top", "it"}, {"stats", "--no-stream", "it"}} {
			if stdout, _, code := p.try(args...); code == 0 && args[0] != "stats" || strings.Contains(stdout, "theirs") {
				t.Errorf("%v of pid %d: exit code %d, %q", args, stranger, code, stdout)
			}
		}
		// The monitor knows its own child, whatever is written down.
		p.rootlet("kill", "-s", "CONT", "it")
		p.rootlet("pause", "it")
		p.rootlet("unpause", "it")
		p.edit(id, func(state map[string]any) { state["pid"] = stranger })
	}
	copying.Wait()
	p.rootlet("rm", "-f", "it", "copied")
	if !gone(first) || !gone(monitor) {
		t.Error("it lives on")
	}
	if gone(victim.Process.Pid) || p.state("other") != "running" || statusOf(victim.Process.Pid, "State")[0] == 'T' {
		t.Error("somebody else was signalled")
	}

	// A reboot: no monitor lives, and the pids are others'.
	kill(t, p.monitor("other"))
	within(t, soon, "ps says so", func() bool { return p.state("other") == "exited" })
	otherID := p.inspect("other", ".Id")
	p.edit(otherID, func(state map[string]any) { state["pid"], state["status"] = victim.Process.Pid, "running" })
	for _, args := range [][]string{{"exec", "other", "true"}, {"kill", "other"}, {"pause", "other"}, {"top", "other"}, {"attach", "other"}} {
		if _, _, code := p.try(args...); code == 0 {
			t.Errorf("%v: exit code 0", args)
		}
	}
	p.rootlet("stop", "other")
	p.rootlet("rm", "other")
	if gone(victim.Process.Pid) {
		t.Error("somebody else was signalled after a reboot")
	}
}

// edit changes a container's state.json.
func (p *person) edit(id string, change func(map[string]any)) {
	p.t.Helper()
	path := filepath.Join(p.data(), "containers", id, "state.json")
	text, err := os.ReadFile(path)
	var state map[string]any
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	change(state)
	text, err = json.Marshal(state)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// F18: sixteen detached at once, and twenty of them in the foreground
// (TestTwentyAtOnce); all of them are gone again at once.
func TestSixteenDetachedAtOnce(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if _, stderr, code := p.try("run", "-d", "--name", fmt.Sprint("it", i), image, "sleep", "1000"); code != 0 {
				t.Errorf("run %d: exit code %d: %s", i, code, stderr)
			}
		})
	}
	all.Wait()
	if n := strings.Count(p.rootlet("ps", "--format", "{{.State}}"), "running"); n != 16 {
		t.Errorf("%d run", n)
	}
	for i := range 16 {
		all.Go(func() {
			verb := [][]string{{"rm", "-f"}, {"stop", "-t", "0"}}[i%2]
			if _, stderr, code := p.try(append(verb, fmt.Sprint("it", i))...); code != 0 {
				t.Errorf("%v %d: exit code %d: %s", verb, i, code, stderr)
			}
		})
	}
	all.Wait()
	p.rootlet("container", "prune", "-f")
	if left := p.rootlet("ps", "-a", "-q"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// F21: of two who want different things one wins, and the container is in a
// state from which everything works.
func TestTwoAtOnce(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	program := []string{image, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done"}
	for _, two := range [][2][]string{
		{{"start", "it"}, {"rm", "it"}},
		{{"start", "it"}, {"rm", "-f", "it"}},
		{{"start", "it"}, {"start", "it"}},
		{{"start", "it"}, {"stop", "-t", "1", "it"}},
		{{"stop", "-t", "1", "it"}, {"exec", "it", "sleep", "0.1"}},
		{{"stop", "-t", "1", "it"}, {"stop", "-t", "1", "it"}},
		{{"stop", "-t", "1", "it"}, {"pause", "it"}},
		{{"stop", "-t", "1", "it"}, {"restart", "it"}},
		{{"rename", "it", "other"}, {"rm", "-f", "it"}},
		{{"rm", "-f", "it"}, {"rm", "-f", "it"}},
		{{"kill", "it"}, {"restart", "it"}},
	} {
		for try := range 6 {
			create := []string{"create"}
			if two[0][0] != "start" {
				create = []string{"run", "-d"}
			}
			p.rootlet(append(append(create, "--name", "it", "--network", "none"), program...)...)
			var both sync.WaitGroup
			var codes [2]int
			var said [2]string
			began := time.Now()
			for i, args := range two {
				both.Go(func() {
					time.Sleep(time.Duration(i*try) * 4 * time.Millisecond)
					_, said[i], codes[i] = p.try(args...)
				})
			}
			both.Wait()
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("%v: took %v", two, took)
			}
			if codes[0] != 0 && codes[1] != 0 {
				t.Errorf("%v: nobody won: %q", two, said)
			}
			for _, text := range said {
				if strings.Contains(text, "monitor lives") || strings.Contains(text, "after 10s") || strings.Contains(text, "no such file") || strings.Contains(text, "panic") {
					t.Errorf("%v: %s", two, text)
				}
			}
			for _, name := range []string{"it", "other"} {
				if p.state(name) == "paused" {
					p.rootlet("unpause", name)
				}
				if _, stderr, code := p.try("rm", "-f", name); code != 0 {
					t.Errorf("%v: rm -f: %s", two, stderr)
				}
			}
			if left := p.rootlet("ps", "-a", "-q"); left != "" {
				t.Fatalf("%v: left: %s", two, left)
			}
		}
	}
}

// Of two who want the same name one gets it, the other Docker's words.
func TestOneNameForTwoDetached(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	var both sync.WaitGroup
	var codes [2]int
	var said [2]string
	for i := range codes {
		both.Go(func() { _, said[i], codes[i] = p.try("run", "-d", "--name", "wanted", image, "sleep", "1000") })
	}
	both.Wait()
	if codes[0]+codes[1] != 125 || !strings.Contains(said[0]+said[1], `the container name "/wanted" is already in use by container "`) {
		t.Errorf("exit codes %v, and %q", codes, said)
	}
	p.rootlet("rm", "-f", "wanted")
}

// F20: eight who run, stop and remove what they and others have, for a while,
// hear of nothing but what is in use, or not there.
func TestManyForAWhile(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedUser(t)
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	end := time.Now().Add(*soak)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			own, others := fmt.Sprint("it", w), fmt.Sprint("it", (w+1)%8)
			for i := 0; time.Now().Before(end); i++ {
				for _, args := range [][]string{
					{"run", "-d", "--name", own, "--network", "none", "-v", "shared:/shared", "-v", "/own", image, "sleep", "1000"},
					{"exec", others, "true"},
					{"stop", "-t", "0", others},
					{"start", own},
					{"run", "--rm", "--network", "none", image, "true"},
					{"rmi", image},
					{"pull", "-q", image},
					{"volume", "rm", "shared"},
					{"ps", "-a"},
					{"rm", "-f", "-v", own},
				} {
					_, stderr, code := p.try(args...)
					if code != 0 && !typed(stderr) {
						t.Errorf("%v: exit code %d: %s", args, code, stderr)
					}
				}
			}
		})
	}
	all.Wait()
	p.rootlet("system", "prune", "-f", "--volumes")
	if left := p.rootlet("ps", "-a", "-q"); left != "" {
		t.Errorf("left: %s", left)
	}
	if left, _ := os.ReadDir(filepath.Join(p.data(), "containers")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// typed reports whether each error is one that those who meddle must expect.
func typed(stderr string) bool {
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, "error:") {
			continue
		}
		ok := false
		for _, text := range []string{"no such", "in use", "is not running", "is already", "is running", "not found", "is using its", "has just started or ended", "is being started", "is made of it", "cannot be joined"} {
			ok = ok || strings.Contains(strings.ToLower(line), text)
		}
		if !ok {
			return false
		}
	}
	return true
}
