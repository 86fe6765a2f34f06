// Package integration drives the real binary as a person would, one script per
// behaviour (../testdata/script), and once on real things: a Debian root, a real
// registry, the real network, a real terminal. It imports nothing of rootlet's
// but what serves tests, and looks after each script for what is left behind.
package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rootlet/internal/hosts"
	"rootlet/internal/reportcard"
	"rootlet/internal/testenv"
)

// shortForm are the scripts that root runs, for whom rootlet is not made.
var shortForm = []string{"hello", "exit-codes", "streams", "config", "bind", "volume", "network", "capabilities", "lifecycle", "pull"}

// whoever are the scripts that one user runs for all, as testenv.Whoever has it.
var whoever = []string{
	// What a registry or a credential helper is asked, and answers.
	"credential-helper", "login", "mirror", "pull-errors", "pull-faults", "registry-own", "registry-serve", "search",
	// What is written down: records, logs, events, settings.
	"autostart", "completion", "events", "health", "limits-best-effort", "log-full", "log-options", "logs", "restart-policy", "update", "usersettings",
	// Where the store is.
	"layers-dir", "system-move",
	// What a client does with what it is sent, and what it reads below /proc.
	"attach", "signals", "stats",
}

// rootlet is the absolute path of the binary under test: $ROOTLET, or one that
// TestMain builds.
var rootlet string

func TestMain(m *testing.M) {
	if report := os.Getenv(measureKey); report != "" {
		os.Exit(measure(report))
	}
	reportcard.Stage()
	hosts.Stage()
	if stage := egressStage(); stage != nil {
		if err := stage(); err != nil {
			fmt.Fprintln(os.Stderr, os.Getenv(stageKey)+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	os.Exit(withBinary(m.Run))
}

func withBinary(run func() int) int {
	rootlet = os.Getenv("ROOTLET")
	if rootlet == "" {
		dir, err := os.MkdirTemp("", "rootlet-binary")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		rootlet = filepath.Join(dir, "rootlet")
		build := exec.Command("go", "build", "-trimpath", "-o", rootlet, "..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, output)
			return 1
		}
	}
	return run()
}

func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("../testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	if testing.Short() {
		scripts = nil
		for _, name := range shortForm {
			scripts = append(scripts, "../testdata/script/"+name+".txtar")
		}
	}
	t.Setenv("GOTMPDIR", t.TempDir()) // where testscript makes each $WORK
	testscript.RunT(serial{t}, testscript.Params{
		Files:               scripts,
		Setup:               setup,
		Cmds:                commands,
		Condition:           condition,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
	})
}

// serial is a testscript.T that runs one script at a time, so that what is there
// after a script and was not before is that script's.
type serial struct{ *testing.T }

func (s serial) Parallel() {}

func (s serial) Verbose() bool { return false }

func (s serial) Run(name string, run func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) {
		if slices.Contains(whoever, name) {
			testenv.Whoever(t)
		}
		if os.Geteuid() != 0 { // the system starts processes of root's at any time
			t.Cleanup(testenv.Snapshot(t, runtimeBase(t)).Check)
		}
		run(serial{t})
	})
}

// setup gives each script a home and a runtime directory of its own. The latter
// is no part of $WORK, whose name is too long for a socket's 107 bytes.
func setup(env *testscript.Env) error {
	t := env.T().(serial).T
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	runtime, err := os.MkdirTemp(runtimeBase(t), "s")
	if err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("XDG_RUNTIME_DIR", runtime)
	env.Setenv("USER", os.Getenv("USER"))
	env.Setenv("BIN", filepath.Dir(rootlet))
	env.Setenv("PATH", filepath.Dir(rootlet)+":"+os.Getenv("PATH"))
	env.Setenv("UID", fmt.Sprint(os.Getuid()))
	env.Setenv("GID", fmt.Sprint(os.Getgid()))
	env.Setenv("VICTIM", victim)
	script := &script{t: t}
	env.Values[scriptKey{}] = script
	env.Defer(func() {
		script.close()
		removeStore(t, home)
		os.RemoveAll(runtime)
	})
	return nil
}

// runtimeBase is this user's own runtime directory, or the temporary one.
func runtimeBase(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return os.TempDir()
}

// removeStore deletes a home whose store may hold files of subordinate ids, and
// directories that nobody may enter. unshare(1) and not rootlet does it: what is
// being tested does not clean up after its own tests.
func removeStore(t *testing.T, home string) {
	t.Helper()
	remove := exec.Command("sh", "-c", `chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1"`, "sh", home)
	if testenv.Kind() != testenv.AsRoot && hasSubIDs() {
		remove.Args = append([]string{"unshare", "--map-root-user", "--map-auto"}, remove.Args...)
		remove.Path, _ = exec.LookPath("unshare")
	}
	if output, err := remove.CombinedOutput(); err != nil {
		t.Errorf("remove %s: %v\n%s", home, err, output)
	}
}

// condition answers [subids], [nosubids] and [root], of which one holds, and
// [fuse], where /dev/fuse can be opened and fuse-overlayfs is there, and
// [systemd], where the host was booted with it (sd_booted(3)).
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "subids":
		return os.Geteuid() == 0 || hasSubIDs(), nil
	case "nosubids":
		return os.Geteuid() != 0 && !hasSubIDs(), nil
	case "systemd":
		_, err := os.Lstat("/run/systemd/system")
		return err == nil, nil
	case "fuse":
		_, err := exec.LookPath("fuse-overlayfs")
		device, openErr := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if openErr == nil {
			device.Close()
		}
		return err == nil && openErr == nil, nil
	}
	return false, fmt.Errorf("unknown condition %s", name)
}

func hasSubIDs() bool {
	switch testenv.Kind() {
	case testenv.WithSubIDs:
		return true
	case testenv.WithoutSubIDs, testenv.AsRoot:
		return false
	}
	table, _ := os.ReadFile("/etc/subuid")
	_, err := exec.LookPath("newuidmap")
	return err == nil && strings.Contains("\n"+string(table), "\n"+os.Getenv("USER")+":")
}
