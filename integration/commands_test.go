package integration

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// patience is how long a script waits for something that is about to happen.
const patience = 10 * time.Second

// commands are what scripts can say beyond testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"exits":        exits,
	"eventually":   eventually,
	"background":   background,
	"prints":       prints,
	"signal":       signal,
	"awaits":       awaits,
	"removeall":    removeAll,
	"tree":         tree,
	"registry":     startRegistry,
	"registrygone": stopRegistry,
	"retag":        retag,
	"digest":       digest,
	"fetched":      fetched,
	"fault":        fault,
	"mirror":       startMirror,
	"mirrored":     mirrored,
	"mirrorfault":  mirrorFault,
	"mirrorgone":   stopMirror,
	"expand":       expand,
	"realregistry": startRealRegistry,
	"archived":     archived,
	"serving":      serving,
	"htpasswd":     htpasswd,
	"certificate":  certificate,
	"outer":        startOuter,
	"cgroups":      needCgroups,
	"ungrouped":    needNoCgroups,
}

// script is what one running script has at hand.
type script struct {
	t        *testing.T
	registry *fakeRegistry
	mirror   *fakeRegistry
	child    *exec.Cmd
	stdout   lockedBuffer
	stderr   lockedBuffer
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func (s *script) close() {
	if s.child != nil {
		_ = s.child.Process.Kill()
		_ = s.child.Wait()
	}
	for _, r := range []*fakeRegistry{s.registry, s.mirror} {
		if r != nil {
			r.server.Close()
		}
	}
}

// needCgroups goes on only where the user has control groups of version 1, and names them
// in $CGROUP.
func needCgroups(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("CGROUP", testenv.NeedLegacyCgroups(of(ts).t))
}

// needNoCgroups goes on only where control groups hold no limits.
func needNoCgroups(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("rootlet", "info", "--format", "{{.Limits.By}}"))
	if by := strings.TrimSpace(ts.ReadFile("stdout")); by != "" {
		testenv.NotFor(of(ts).t, "what is done without "+by)
	}
}

// exits CODE PROGRAM ARG...: runs the program, which must end with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	check(ts, want, ts.Exec(args[1], args[2:]...))
}

func check(ts *testscript.TestScript, want int, err error) {
	if got := exitCode(of(ts).t, err); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// eventually PROGRAM ARG...: runs the program until it succeeds.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
	}
	ts.Fatalf("%s: still %v", strings.Join(args, " "), err)
}

// background PROGRAM ARG...: starts the program, for signal and awaits.
func background(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	path := args[0]
	if path == "rootlet" {
		path = rootlet
	}
	s.child = exec.Command(path, args[1:]...)
	s.child.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "XDG_RUNTIME_DIR", "USER"} {
		s.child.Env = append(s.child.Env, name+"="+ts.Getenv(name))
	}
	s.stdout.Reset()
	s.stderr.Reset()
	s.child.Stdout, s.child.Stderr = &s.stdout, &s.stderr
	s.child.WaitDelay = patience // for whom it left behind with its output in hand
	ts.Check(s.child.Start())
}

// prints TEXT: waits until what background started has printed it.
func prints(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	for end := time.Now().Add(patience); !strings.Contains(s.stdout.String()+s.stderr.String(), args[0]); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("it did not print %q", args[0])
		}
	}
}

// signal NAME: sends it to what background started.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(of(ts).child.Process.Signal(unix.SignalNum("SIG" + args[0])))
}

// awaits CODE [REGEXP]: waits for what background started, which must end with
// the code, and may have to have printed something.
func awaits(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	expired := time.AfterFunc(patience, func() { _ = s.child.Process.Kill() })
	err = s.child.Wait()
	s.child = nil
	ts.Logf("[stdout]\n%s[stderr]\n%s", s.stdout.String(), s.stderr.String())
	if !expired.Stop() {
		ts.Fatalf("still there after %v", patience)
	}
	check(ts, want, err)
	if len(args) > 1 && !strings.Contains(s.stdout.String()+s.stderr.String(), args[1]) {
		ts.Fatalf("it did not print %q", args[1])
	}
}

// removeall: removes every container.
func removeAll(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("sh", "-c", "rootlet rm -f $(rootlet ps -a -q)"))
}

// tree DRIVER: writes what a container of $IMG has below /layers, under that
// driver and in a store of its own, into the file tree.DRIVER.
func tree(ts *testscript.TestScript, neg bool, args []string) {
	// A directory's size and link count are the file system's own affair.
	const list = `cd /layers && find . | sort | while read -r f; do
		if test -d "$f" && test ! -L "$f"; then stat -c '%A %u:%g %Y %n' "$f"
		else echo "$(stat -c '%A %u:%g %Y %n %h %s' "$f") $(test -f "$f" && md5sum <"$f")"; fi; done`
	home := ts.MkAbs("home/" + args[0])
	ts.Check(os.MkdirAll(home, 0o700))
	run := []string{"XDG_DATA_HOME=" + home, "rootlet", "run", "--rm"}
	if args[0] != "auto" {
		run = append(run, "--storage-driver", args[0])
	}
	ts.Check(ts.Exec("env", append(run, ts.Getenv("IMG"), "sh", "-c", list)...))
	ts.Check(os.WriteFile(ts.MkAbs("tree."+args[0]), []byte(ts.ReadFile("stdout")), 0o600))
}
