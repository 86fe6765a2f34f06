package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// leastKills is how many steps of how many commands have to be survived.
const leastKills = 200

// beside is how many are killed side by side: who is killed is mostly waited for.
const beside = 3

// killing is a command that is to be killed at each of its steps. The container
// that it is about is called "it", a volume that it makes "new".
type killing struct {
	before []string // the command that leads there
	args   []string
}

// killings begin or end a container in each way there is. $IMG has something to
// copy into a volume.
func killings() []killing {
	stays := []string{"run", "-d", "--name", "it", "--network", "none", "--stop-signal", "KILL", "-v", "/anonymous", "--entrypoint", "sleep", "$IMG", "1000"}
	return []killing{
		{args: []string{"run", "-d", "--name", "it", "-v", "new:/srv/data", "$IMG"}},
		{args: []string{"run", "-d", "--rm", "--name", "it", "--network", "bridge", "--entrypoint", "true", "$IMG"}},
		{args: []string{"run", "-d", "--name", "it", "--network", "none", "--entrypoint", "nothing-there", "$IMG"}},
		{args: []string{"run", "-d", "--name", "it", "--network", "bridge", "--entrypoint", "false", "--restart", "on-failure:1", "$IMG"}},
		{args: []string{"create", "--name", "it", "-v", "new:/srv/data", "$IMG"}},
		{args: []string{"start", "it"}, before: []string{"create", "--name", "it", "--network", "none", "$IMG"}},
		{args: []string{"stop", "it"}, before: stays},
		{args: []string{"restart", "it"}, before: stays},
		{args: []string{"pause", "it"}, before: stays},
		{args: []string{"rename", "it", "renamed"}, before: []string{"create", "--name", "it", "$IMG"}},
		{args: []string{"rm", "-v", "it"}, before: []string{"create", "--name", "it", "-v", "/anonymous", "$IMG"}},
		{args: []string{"rm", "-f", "-v", "it"}, before: stays},
	}
}

// TestKilledAtEveryStep kills each of these commands at each step that it comes
// to, be it the command's own, its monitor's or its worker's, and looks whether
// the next ones work with no manual step, and whether anything was lost or left.
func TestKilledAtEveryStep(t *testing.T) {
	var all []*sufferer
	for range beside {
		all = append(all, newSufferer(t))
	}
	kills, reached, every := 0, map[string]bool{}, 1
	switch {
	case testing.Short():
		every = 25
	case testenv.Kind() == testenv.WithoutSubIDs:
		every = 5 // the steps are the same ones
	}
	for _, k := range killings() {
		var deadly []step
		for i, s := range all[0].steps(k) {
			reached[strings.Split(s.name, "#")[0]] = true
			if i%every == 0 {
				deadly = append(deadly, s)
			}
		}
		kills += killEach(t, all, k, deadly)
	}
	for _, s := range dozing {
		reached[s.name] = true
	}
	for _, s := range moveSteps { // TestMoveIsKilledAtEveryStep
		reached[s.step] = true
	}
	kills += killEach(t, all, dozes, dozing)
	t.Logf("%d kills", kills)
	if every == 1 && kills < leastKills {
		t.Errorf("only %d kills, want %d", kills, leastKills)
	}
	for _, name := range marked(t) {
		if !slices.ContainsFunc(keysOf(reached), func(r string) bool { return r == name || strings.HasPrefix(r, name+" ") }) {
			t.Errorf("no command comes to the step %q: add one to killings", name)
		}
	}
}

// killEach has a command die at each step, some at a time, and looks what the
// machine is like whenever those are over.
func killEach(t *testing.T, all []*sufferer, k killing, steps []step) int {
	t.Helper()
	for some := range slices.Chunk(steps, len(all)) {
		var leaks *testenv.Leaks
		if os.Geteuid() != 0 {
			leaks = testenv.Snapshot(t, runtimeBase(t))
		}
		var killed sync.WaitGroup
		for i, s := range some {
			killed.Go(func() {
				t.Run(k.args[0]+" at "+s.name, func(t *testing.T) { all[i].in(t).kill(k, s) })
			})
		}
		killed.Wait()
		if leaks != nil {
			leaks.Check()
		}
		if t.Failed() {
			t.Fatalf("so it is when %v is killed at %v", k.args, some)
		}
	}
	return len(steps)
}

func keysOf(m map[string]bool) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// marked lists the steps that the source marks.
func marked(t *testing.T) []string {
	t.Helper()
	mark := regexp.MustCompile(`failpoint\.At\("([^"]+)"`)
	var names []string
	err := filepath.WalkDir("..", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, found := range mark.FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
		return err
	})
	if err != nil || len(names) < 50 {
		t.Fatalf("%d steps found in the source: %v", len(names), err)
	}
	return names
}

// sufferer is a person whose commands are killed, and who has a container and a
// volume beside, which nothing must happen to.
type sufferer struct {
	*person
	image   string
	program string // rootlet with failpoints
	log     string // of the steps that were come to
	data    string
	things  map[string][]string // what is there besides: containers, names, volumes
}

// step is one to die at.
type step struct {
	stage string // the process that comes to it: rootlet, rootlet-monitor ...
	name  string
	own   bool // the command started this process, and not the one before it
	again bool // the command then starts the container with another monitor
}

func newSufferer(t *testing.T) *sufferer {
	t.Helper()
	p, image := someone(t, "configured")
	v := &sufferer{person: p, image: image, program: failpoints(t)}
	home := strings.TrimPrefix(p.env[0], "HOME=")
	v.log, v.data = filepath.Join(home, "steps"), filepath.Join(home, ".local/share/rootlet")
	v.env = append(v.env, "IMG="+image)
	p.rootlet("run", "-d", "--name", "bystander", "-v", "theirs:/theirs", "--network", "none", "--entrypoint", "sh", image,
		"-c", "echo precious >/theirs/file; exec sleep 1000")
	t.Cleanup(func() { p.rootlet("rm", "-f", "-v", "bystander") })
	p.rootlet("create", "--name", "idle", image)
	v.things = v.look()
	return v
}

// in is the same in a subtest.
func (v *sufferer) in(t *testing.T) *sufferer {
	other := *v
	other.person = v.person.in(t)
	return &other
}

// failpoints is the binary with them: $ROOTLET_FAILPOINTS, or one that is built.
func failpoints(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ROOTLET_FAILPOINTS"); path != "" {
		return path
	}
	if _, err := exec.LookPath("go"); err != nil {
		testenv.Skip(t, "ROOTLET_FAILPOINTS, a rootlet built with -tags failpoints, or go to build it")
	}
	path := filepath.Join(t.TempDir(), "rootlet")
	build := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	return path
}

// look lists what is in the directories in which a killed process could leave
// something. What a lock is taken on stays.
func (v *sufferer) look() map[string][]string {
	found := map[string][]string{}
	for _, dir := range []string{"containers", "names", "volumes"} {
		entries, err := os.ReadDir(filepath.Join(v.data, dir))
		if err != nil && !os.IsNotExist(err) {
			v.t.Fatal(err)
		}
		for _, e := range entries {
			found[dir] = append(found[dir], e.Name())
		}
	}
	return found
}

// failing is a command of the binary with failpoints, to die at a step or, where
// that is empty, to note those that it comes to.
func (v *sufferer) failing(args []string, step string) *exec.Cmd {
	c := v.command(args...)
	for i, arg := range c.Args {
		c.Args[i] = strings.ReplaceAll(arg, "$IMG", v.image)
	}
	c.Path = v.program
	c.Env = append(slices.Clone(v.env), "ROOTLET_FAILPOINT="+step, "ROOTLET_FAILPOINT_LOG="+v.log)
	return c
}

// steps runs a command unharmed and returns the steps of all processes that have
// a part in it.
func (v *sufferer) steps(k killing) []step {
	v.t.Helper()
	v.forget()
	if k.before != nil {
		_ = v.failing(k.before, "").Run()
		v.settle()
	}
	led := len(v.passed())
	_ = v.failing(k.args, "").Run()
	v.settle()
	steps := v.passed()[led:]
	var all []step
	seen := map[string]bool{}
	for _, s := range steps {
		s.own = s.stage != "rootlet-monitor" || slices.ContainsFunc(steps, func(o step) bool { return o.name == "step enter" || o.name == "step open" })
		s.again = k.args[0] == "restart"
		// How often rm -f asks depends on how long the monitor takes.
		again := strings.Contains(s.name, "#") && (strings.HasPrefix(s.name, "ask ") || strings.HasPrefix(s.name, "control "))
		if !seen[s.name] && !again {
			seen[s.name] = true
			all = append(all, s)
		}
	}
	v.recover(step{})
	return all
}

// settle waits until the processes of a command have come to their last step.
func (v *sufferer) settle() {
	before, since := -1, time.Now()
	for time.Since(since) < 80*time.Millisecond {
		if now := len(v.passed()); now != before {
			before, since = now, time.Now()
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (v *sufferer) forget() { _ = os.Remove(v.log) }

func (v *sufferer) passed() []step {
	text, _ := os.ReadFile(v.log)
	var steps []step
	for line := range strings.Lines(string(text)) {
		stage, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		steps = append(steps, step{stage: stage, name: name})
	}
	return steps
}

// kill has a command die at a step, and looks what becomes of the rest.
func (v *sufferer) kill(k killing, s step) {
	v.t.Helper()
	v.forget()
	at := s.name
	if s.own {
		at = ""
	}
	if k.before != nil {
		_ = v.failing(k.before, at).Run()
	}
	c := v.failing(k.args, s.name)
	var output strings.Builder
	c.Stdout, c.Stderr = &output, &output
	began := time.Now()
	_ = c.Run()
	if took := time.Since(began); took > 3*time.Second {
		v.t.Errorf("killed at %q: `rootlet %s` took %v", s.name, strings.Join(k.args, " "), took)
	}
	until(v.t, "to come to the step "+s.name, func() bool {
		return slices.ContainsFunc(v.passed(), func(p step) bool { return p.name == s.name })
	})
	v.recover(s)
	if v.t.Failed() {
		v.t.Fatalf("so it is when %v is killed at the step %q of %s; it said\n%s", k.args, s.name, s.stage, output.String())
	}
}

// recover looks whether all is as it should be after a kill, and works.
func (v *sufferer) recover(s step) {
	v.t.Helper()
	if s.stage == "rootlet" {
		v.settle() // its monitor may not have heard of it yet
	}
	for _, id := range v.others(s) {
		if _, stderr, code := v.try("rm", "-f", "-v", id); code != 0 {
			v.t.Errorf("rm -f: exit code %d\n%s", code, stderr)
		}
	}
	stdout, stderr, code := v.try("run", "--rm", "--name", "it", "--network", "none", "-v", "new:/srv/data", "--entrypoint", "cat", v.image, "/srv/data/seed")
	if code != 0 || stdout != "seeded by the image\n" {
		v.t.Errorf("the next run: exit code %d, printed %q and %q", code, stdout, stderr)
	}
	if _, stderr, code := v.try("volume", "rm", "-f", "new"); code != 0 {
		v.t.Errorf("volume rm: exit code %d\n%s", code, stderr)
	}
	v.nothingLeft()
	if text, err := os.ReadFile(filepath.Join(v.data, "volumes/theirs/_data/file")); err != nil || string(text) != "precious\n" {
		v.t.Errorf("the other's volume holds %q: %v", text, err)
	}
}

// others lists the containers besides the bystanders, who must be well. A
// container whose monitor was killed does not run, and that shows in time.
func (v *sufferer) others(s step) []string {
	v.t.Helper()
	var ids []string
	var rows string
	began := time.Now()
	for {
		ids = nil
		rows = v.rootlet("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
		well, right := 0, true
		for line := range strings.Lines(rows) {
			f := strings.Fields(line)
			switch {
			case line == f[0]+" bystander running\n", line == f[0]+" idle created\n":
				well++
			default:
				ids = append(ids, f[0])
				right = right && (s.stage != "rootlet-monitor" || s.again || f[len(f)-1] != "running" && f[len(f)-1] != "paused" && f[len(f)-1] != "restarting")
			}
		}
		if well == 2 && right {
			return ids
		}
		if time.Since(began) > 2*time.Second {
			v.t.Errorf("ps shows after two seconds\n%s", rows)
			return ids
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// nothingLeft looks for what only a sweep would take away, which it does when the
// monitor of the last run is gone. Names that are new it leaves alone for a minute,
// which is over at once here.
func (v *sufferer) nothingLeft() {
	v.t.Helper()
	var after map[string][]string
	for range 100 {
		if after = v.look(); sameThings(v.things, after) {
			return
		}
		for _, name := range after["names"] {
			if long := time.Now().Add(-time.Hour); !slices.Contains(v.things["names"], name) {
				_ = os.Chtimes(filepath.Join(v.data, "names", name), long, long)
			}
		}
		_, _, _ = v.try("volume", "rm", "nothing")
	}
	for dir, names := range after {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(v.things[dir], name) })
		v.t.Errorf("left behind in %s, or lost: %v", dir, names)
	}
}

func sameThings(a, b map[string][]string) bool {
	for _, dir := range []string{"containers", "names", "volumes"} {
		if !slices.Equal(a[dir], b[dir]) {
			return false
		}
	}
	return true
}

// dozes has a monitor that goes to sleep, and comes back; dozing are its steps.
var (
	dozes = killing{
		before: []string{"run", "-d", "--name", "it", "--network", "none", "--entrypoint", "sleep", "$IMG", "2.5"},
		args:   []string{"wait", "it"},
	}
	dozing = []step{
		{stage: "rootlet-monitor", name: "sleep log suspended"},
		{stage: "rootlet-monitor", name: "sleep falls asleep"},
		{stage: "rootlet-monitor", name: "sleep woken"},
		{stage: "rootlet-monitor", name: "sleep revived"},
	}
)
