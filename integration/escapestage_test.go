package integration

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// What must not be seen inside, and what is in the environment of the user's commands.
const (
	canaryText   = "canary of the host's"
	canarySecret = "SECRET=canary-in-the-environment"
)

// escapeStage is a person who has something to lose, and a binary of rootlet that he can
// write. One escape at a time is tried on it.
type escapeStage struct {
	*person
	dir      string
	image    string
	registry *fakeRegistry
	probe    string // this test binary, which is the attacker's program
	made     int
}

func newEscapeStage(t *testing.T) *escapeStage {
	t.Helper()
	s := &escapeStage{dir: t.TempDir(), registry: newFakeRegistry()}
	t.Cleanup(s.registry.server.Close)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(rootlet)
	must(err)
	s.probe, err = os.Executable()
	must(err)
	must(os.MkdirAll(s.dir+"/bin", 0o755))
	must(os.WriteFile(s.dir+"/bin/rootlet", binary, 0o755))
	s.person = newPersonIn(t, s.dir, s.dir+"/bin/rootlet")
	s.env = append(s.env, canarySecret, "TERM=dumb", "TMPDIR="+s.dir+"/tmp")
	must(os.MkdirAll(s.dir+"/tmp", 0o700))
	for _, path := range []string{s.victim() + "/hello", s.victim() + "/dir/f", s.home() + "/.ssh/id_canary"} {
		must(os.MkdirAll(filepath.Dir(path), 0o700))
		must(os.WriteFile(path, []byte(canaryText+"\n"), 0o600))
	}
	must(s.registry.push("busybox", "busybox"))
	s.image = s.registry.address() + "/busybox"
	s.rootlet("run", "--rm", "--network", "none", s.image, "true") // a store that is in use
	return s
}

func (s *escapeStage) home() string   { return filepath.Join(s.dir, "home") }
func (s *escapeStage) victim() string { return filepath.Join(s.dir, "victim") }

// play tries an escape, and looks at what is outside.
func (s *escapeStage) play(t *testing.T, e escape) {
	if e.rounds > 0 {
		testenv.Whoever(t)
	}
	s.t = t
	before := s.look()
	e.try(s)
	for id := range strings.FieldsSeq(s.rootlet("ps", "-aq")) {
		s.rootlet("rm", "-f", "-v", id)
	}
	for volume := range strings.FieldsSeq(s.rootlet("volume", "ls", "-q")) {
		s.rootlet("volume", "rm", volume)
	}
	before.compare(t, s.look())
}

// try is the person's, with a look at what the command shows.
func (s *escapeStage) try(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	stdout, stderr, code = s.person.try(args...)
	s.blind(stdout + stderr)
	return stdout, stderr, code
}

// blind fails the test if there is something of the host's in the text.
func (s *escapeStage) blind(text string) {
	s.t.Helper()
	if strings.Contains(text, canaryText) || strings.Contains(text, canarySecret) {
		s.t.Errorf("it shows what is outside: %.500s", text)
	}
}

// refused is a command that must fail as rootlet fails, and say why.
func (s *escapeStage) refused(why string, args ...string) {
	s.t.Helper()
	stdout, stderr, code := s.try(args...)
	message := stderr[strings.LastIndex(stderr, "rootlet: error: ")+1:]
	if code < 125 || code > 127 || !regexp.MustCompile(why).MatchString(message) {
		s.t.Errorf("rootlet %s: exit code %d, want it refused with %q: %s%s", strings.Join(args, " "), code, why, stdout, stderr)
	}
}

// prints is a command that must succeed and print this.
func (s *escapeStage) prints(want string, args ...string) {
	s.t.Helper()
	stdout, stderr, code := s.try(args...)
	if code != 0 || !regexp.MustCompile("^(?:"+want+")$").MatchString(strings.TrimSpace(stdout)) {
		s.t.Errorf("rootlet %s: exit code %d, printed %q %q, want %q", strings.Join(args, " "), code, stdout, stderr, want)
	}
}

// build makes an image of the registry's: busybox with a configuration and files.
func (s *escapeStage) build(config v1.Config, entries ...entry) string {
	s.t.Helper()
	image, err := with(config, entries...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.made++
	name := fmt.Sprintf("made%d", s.made)
	ref, err := s.registry.reference(name)
	if err == nil {
		err = remote.Push(ref, image)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s.registry.address() + "/" + name
}

// run is the beginning of a command line. Without a word about the network there is none.
func run(args ...string) []string {
	if slices.Contains(args, "--network") {
		return append([]string{"run", "--rm"}, args...)
	}
	return append([]string{"run", "--rm", "--network", "none"}, args...)
}

// up starts a container that stays.
func (s *escapeStage) up(name string, flags ...string) {
	s.t.Helper()
	args := append([]string{"run", "-d", "--name", name, "--network", "none", "-v", s.probe + ":/probe:ro", "-e", stageKey + "=" + stageAttack}, flags...)
	s.rootlet(append(args, s.image, "sleep", "1000")...)
}

// attacks is a container whose program is one of the attacks (attackprogram_test.go) and
// has ended; it must have no success.
func (s *escapeStage) attacks(flags []string, args ...string) string {
	s.t.Helper()
	probe := []string{"-v", s.probe + ":/probe:ro", "-e", stageKey + "=" + stageAttack, s.image, "/probe"}
	stdout, stderr, code := s.try(run(slices.Concat(flags, probe, args)...)...)
	s.failed(args[0], stdout+stderr)
	if code != 0 {
		s.t.Errorf("attack %s: exit code %d: %s%s", args, code, stdout, stderr)
	}
	return stdout
}

// failed looks for what an attack reports.
func (s *escapeStage) failed(attack, output string) {
	s.t.Helper()
	if strings.Contains(output, hit) {
		s.t.Errorf("attack %s: %.2000s", attack, output)
	}
}

// besieged runs command again and again while the attack goes on in a container; the
// attack has to have come to its own turn often enough, too.
func (s *escapeStage) besieged(flags []string, attack []string, command func(round int)) {
	s.t.Helper()
	s.up("attacker", flags...)
	s.rootlet(append([]string{"exec", "-d", "attacker", "sh", "-c", `exec "$@" >/report 2>&1`, "sh", "/probe"}, attack...)...)
	until(s.t, "the attack begins", func() bool {
		stdout, _, _ := s.try("exec", "attacker", "cat", "/report")
		return strings.Contains(stdout, begun)
	})
	turns := 0
	for round := 0; round < rounds || turns < enough && round < 4*rounds; round++ {
		command(round)
		if s.t.Failed() {
			break
		}
		if round%100 == 99 {
			turns = s.turns()
		}
	}
	if turns < enough {
		s.t.Errorf("%d rounds, in which the attack had only %d turns", rounds, turns)
	}
}

// enough is how often an attacker tries at least: a busy machine lets it try less often.
const enough = 50

// turns is how often the attack has tried so far.
func (s *escapeStage) turns() int {
	s.t.Helper()
	report, _, _ := s.try("exec", "attacker", "cat", "/report")
	s.failed("under siege", report)
	turns := 0
	for line := range strings.Lines(report) {
		_, _ = fmt.Sscanf(line, "turns %d", &turns)
	}
	return turns
}

// look takes in all that an escape must leave as it was.
func (s *escapeStage) look() sight {
	s.t.Helper()
	seen := sight{map[string]string{}}
	runtime := s.runtime()
	for _, top := range []string{s.dir, runtime} {
		err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case path == s.home()+"/.local/share/rootlet", path == runtime+"/rootlet":
				return fs.SkipDir
			}
			seen.files[path] = s.describe(path)
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return seen
}

func (s *escapeStage) describe(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	what := fmt.Sprintf("mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
	names := make([]byte, 4096)
	if n, _ := unix.Llistxattr(path, names); n > 0 {
		what += fmt.Sprintf(" attributes %q", names[:n])
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return what
	}
	content, err := os.ReadFile(path)
	return what + fmt.Sprintf(" inode %d links %d written %v content %x %v", st.Ino, st.Nlink, st.Mtim, sha256.Sum256(content), err)
}
