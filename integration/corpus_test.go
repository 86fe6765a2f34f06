package integration

import (
	"archive/tar"
	"bytes"
	"fmt"
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
	"rootlet/pull/hostile"
	"rootlet/pull/registrytest"
)

// What a case may cost (issue 4, section 4): memory of the largest process, and
// time of all its commands.
const (
	mostMemory = 256 << 20
	mostTime   = 10 * time.Second
)

// stages is how many cases are played side by side: a stage waits for the disk
// as often as for a core.
const stages = 4

// TestHostileCorpus plays every case of the corpus: each is refused, or
// confined; what it could have reached is as it was.
func TestHostileCorpus(t *testing.T) {
	testenv.NeedUser(t)
	t.Cleanup(testenv.Snapshot(t, runtimeBase(t)).Check) // after the stages are gone
	base := baseLayer(t)
	cases := hostile.Corpus()
	verdicts := make([]verdict, len(cases))
	next := make(chan int)
	var players sync.WaitGroup
	for range stages {
		s := newHostileStage(t, base)
		players.Go(func() {
			for i := range next {
				t.Run(cases[i].String(), func(t *testing.T) { verdicts[i] = s.play(t, cases[i]) })
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	players.Wait()
	if !t.Failed() {
		testenv.Golden(t, "../../docs/hostile.md", corpusTable(cases, verdicts))
	}
}

// baseLayer has the shell that runs within the cases' images.
func baseLayer(t *testing.T) registrytest.Layer {
	t.Helper()
	program, err := os.ReadFile(testenv.NeedProgram(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	files := []registrytest.File{
		registrytest.Dir("bin"), registrytest.Dir("etc"), registrytest.Dir("mnt"),
		{Name: "tmp/", Type: tar.TypeDir, Mode: 0o1777},
		{Name: "etc/passwd", Body: "root:x:0:0:root:/root:/bin/sh\n", Mode: 0o644},
		{Name: "etc/group", Body: "root:x:0:\n", Mode: 0o644},
		{Name: "bin/busybox", Body: string(program)},
	}
	for _, applet := range strings.Fields("sh cat ls env id echo test grep true touch wc hostname pwd") {
		files = append(files, registrytest.Symlink("bin/"+applet, "busybox"))
	}
	return registrytest.NewLayer(registrytest.Gzip, files...)
}

// extraLayer is the second layer of a good image.
func extraLayer() registrytest.Layer {
	return registrytest.NewLayer(registrytest.Gzip, registrytest.File{Name: "extra", Body: "good"})
}

// verdict is what came of a case.
type verdict struct {
	message string // of the refusal, empty: confined
}

// hostileStage is a user's home, with a store that has one good image, and a
// victim beside it. One case at a time is played on it.
type hostileStage struct {
	dir, runtime string
	base         registrytest.Layer
	env          []string
}

func newHostileStage(t *testing.T, base registrytest.Layer) *hostileStage {
	t.Helper()
	runtime, err := os.MkdirTemp(runtimeBase(t), "h")
	if err != nil {
		t.Fatal(err)
	}
	s := &hostileStage{dir: t.TempDir(), runtime: runtime, base: base}
	t.Cleanup(func() {
		removeStore(t, s.home())
		os.RemoveAll(runtime)
	})
	for path, text := range map[string]string{s.victim() + "/hello": "untouched\n", s.home() + "/.ssh/id_canary": "canary\n"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{
		"HOME=" + s.home(), "XDG_RUNTIME_DIR=" + runtime, "USER=" + os.Getenv("USER"),
		"PATH=" + os.Getenv("PATH"), "SECRET=canary", "TERM=dumb",
	}
	s.furnish(t)
	return s
}

func (s *hostileStage) home() string   { return filepath.Join(s.dir, "home") }
func (s *hostileStage) victim() string { return filepath.Join(s.dir, "victim") }

// furnish gives the store an image, whose layer is also the lowest of the cases'.
func (s *hostileStage) furnish(t *testing.T) {
	t.Helper()
	r := registrytest.New(t)
	good := registrytest.Image{Architecture: arch(), Layers: []registrytest.Layer{s.base}}
	r.Push("good/image", good)
	r.Push("passing/image", registrytest.Image{Architecture: arch(), Layers: append(good.Layers, registrytest.NewLayer(registrytest.Gzip, registrytest.File{Name: "x"}))})
	r.Push("larger/image", registrytest.Image{Architecture: arch(), Layers: append(good.Layers, extraLayer())})
	// What a store has once it is in use is there before the first case.
	for _, args := range [][]string{
		{"pull", r.Host + "/good/image"},
		{"pull", r.Host + "/larger/image"},
		{"run", "--rm", "-v", "/volume", r.Host + "/passing/image", "true"},
		{"rmi", r.Host + "/passing/image"},
	} {
		if got := s.rootlet(t, nil, args...); got.code != 0 {
			t.Fatalf("%s: %s", args, got.stderr)
		}
	}
}

// play has a user meet the case, and looks at what it did.
func (s *hostileStage) play(t *testing.T, c hostile.Case) verdict {
	scene := &hostile.Scene{Registry: registrytest.New(t), Other: registrytest.NewAt(t, "127.0.0.2"), Victim: s.victim(), Base: s.base, Extra: extraLayer()}
	s.logIn(t, scene, c)
	s.set(t, c.Settings)
	before := s.look(t)
	var archive []byte
	if c.Archive != nil {
		archive = c.Archive(scene)
	} else {
		c.Serve(scene, c.Name)
	}
	last, installed := s.meet(t, scene, c, archive)
	v := s.judge(t, scene, c, last)
	s.checkOther(t, scene, c)
	if installed {
		s.checkLayers(t, c, before)
		s.forget(t, before)
	}
	before.compare(t, s.look(t))
	return v
}

// logIn leaves credentials for the registry where a user has them.
func (s *hostileStage) logIn(t *testing.T, scene *hostile.Scene, c hostile.Case) {
	t.Helper()
	path := s.home() + "/.docker/config.json"
	_ = os.Remove(path)
	if !c.Login {
		return
	}
	_ = os.Mkdir(filepath.Dir(path), 0o700)
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, scene.Registry.Host, canaryLogin)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// set writes the user's configuration.
func (s *hostileStage) set(t *testing.T, text string) {
	t.Helper()
	path := s.home() + "/.config/rootlet/config.toml"
	_ = os.Remove(path)
	if text == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// canaryLogin is alice:canary-password as HTTP spells it.
const canaryLogin = "YWxpY2U6Y2FuYXJ5LXBhc3N3b3Jk"

// meet pulls or loads, and runs. It returns the command that decides, and
// whether an image was installed.
func (s *hostileStage) meet(t *testing.T, scene *hostile.Scene, c hostile.Case, archive []byte) (last outcome, installed bool) {
	t.Helper()
	name := scene.Registry.Host + "/" + c.Name + c.Suffix
	var first outcome
	if c.Archive != nil {
		first = s.rootlet(t, archive, "load")
		name = c.Loads
	} else {
		first = s.rootlet(t, nil, slices.Concat([]string{"pull", "-q"}, c.Pull, []string{name})...)
	}
	if c.Run == nil || first.code != 0 {
		if c.Run != nil {
			t.Errorf("it is to be run, but could not be fetched: %s", first.stderr)
		}
		return first, first.code == 0
	}
	at := slices.Index(c.Run, "--")
	flags, args := c.Run[:at], c.Run[at+1:]
	last = s.rootlet(t, nil, slices.Concat([]string{"run", "--rm", "--pull", "never"}, flags, []string{name}, args)...)
	last.took += first.took
	last.memory = max(first.memory, last.memory)
	return last, true
}

// judge compares how the last command ended with what must come of the case.
func (s *hostileStage) judge(t *testing.T, scene *hostile.Scene, c hostile.Case, got outcome) verdict {
	t.Helper()
	if got.took > mostTime {
		t.Errorf("took %v", got.took)
	}
	if got.memory > mostMemory {
		t.Errorf("took %d MiB", got.memory>>20)
	}
	if strings.Contains(got.stdout+got.stderr, "canary-password") || strings.Contains(got.stdout+got.stderr, canaryLogin) {
		t.Errorf("shows the password:\n%s%s", got.stdout, got.stderr)
	}
	if c.Refused == "" {
		if got.code != 0 {
			t.Errorf("exit status %d, want it confined: %s", got.code, got.stderr)
		}
		if c.Run != nil && !regexp.MustCompile("(?m)"+c.Shows).MatchString(got.stdout) {
			t.Errorf("the container shows %.200q, want %s", got.stdout, c.Shows)
		}
		if c.Hides != "" && regexp.MustCompile("(?m)"+c.Hides).MatchString(got.stdout) {
			t.Errorf("the container shows %.200q, and not %s", got.stdout, c.Hides)
		}
		return verdict{}
	}
	want := []int{1}
	if c.Run != nil {
		want = []int{125, 126, 127}
	}
	if !slices.Contains(want, got.code) {
		t.Errorf("exit status %d, want %v; stdout %.200q", got.code, want, got.stdout)
	}
	message := got.message(t)
	if !regexp.MustCompile(c.Refused).MatchString(message) {
		t.Errorf("says %q, want %s", message, c.Refused)
	}
	return verdict{s.normal(scene, message)}
}

// message is the one line of an error.
func (o outcome) message(t *testing.T) string {
	t.Helper()
	var message string
	for line := range strings.Lines(o.stderr) {
		line = strings.TrimSuffix(line, "\n")
		text, isError := strings.CutPrefix(line, "rootlet: error: ")
		switch {
		case isError && message == "":
			message = text
		case isError, !strings.HasPrefix(line, "rootlet: "):
			t.Errorf("more than one line of error: %.300q", o.stderr)
		}
		if regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f]|\x{009b}`).MatchString(line) || len(line) > 2200 {
			t.Errorf("no line for a terminal: %.300q", line)
		}
	}
	return message
}

// checkOther looks at what the other host was asked.
func (s *hostileStage) checkOther(t *testing.T, scene *hostile.Scene, c hostile.Case) {
	t.Helper()
	for _, r := range scene.Other.Requests() {
		if c.Other == hostile.OtherUntouched {
			t.Errorf("the other host was asked for %s", r.URL)
		}
		if r.Header.Get("Authorization") != "" || strings.Contains(r.URL.String(), "canary") && r.URL.User != nil {
			t.Errorf("the other host was shown credentials: %s %s", r.URL, r.Header)
		}
	}
}

// forget removes what the case installed.
func (s *hostileStage) forget(t *testing.T, before sight) {
	t.Helper()
	ids := s.rootlet(t, nil, "images", "-q", "--no-trunc")
	for id := range strings.FieldsSeq(ids.stdout) {
		if _, was := before.files["image "+id]; was {
			continue
		}
		if got := s.rootlet(t, nil, "rmi", "-f", id); got.code != 0 {
			t.Errorf("rmi: %s", got.stderr)
		}
	}
}

// normal is a message without what is another each time, or with another busybox.
func (s *hostileStage) normal(scene *hostile.Scene, message string) string {
	message = strings.NewReplacer(scene.Registry.Host, "REGISTRY", scene.Other.Host, "OTHER", s.victim(), "VICTIM", s.dir, "DIR").Replace(message)
	message = regexp.MustCompile(`\b[0-9a-f]{12,}\b`).ReplaceAllString(message, "HEX")
	return regexp.MustCompile(`\b\d{3} bytes`).ReplaceAllString(message, "N bytes") // a manifest's size is its layers' too
}

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
	took           time.Duration
	memory         int64 // of the largest process, in bytes
}

// rootlet runs the binary under measure.
func (s *hostileStage) rootlet(t *testing.T, stdin []byte, args ...string) outcome {
	t.Helper()
	report := filepath.Join(s.runtime, "measured")
	cmd := exec.Command(rootlet, args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	measured(t, cmd, report)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = time.Second
	begun := time.Now()
	limit := time.AfterFunc(3*mostTime, func() { _ = cmd.Process.Kill() })
	err := cmd.Run()
	limit.Stop()
	o := outcome{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begun), code: cmd.ProcessState.ExitCode()}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	o.memory = readMeasure(t, report)
	if regexp.MustCompile(`(?m)^(panic: |goroutine \d|fatal error: |runtime: )`).MatchString(o.stderr) {
		t.Fatalf("rootlet %s: %.2000s", args, o.stderr)
	}
	return o
}
