package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// person is somebody with an empty home who types commands.
type person struct {
	t      *testing.T
	env    []string
	binary string // what rootlet is to him
}

// newPerson also sees to it that all is as before when the test is over.
func newPerson(t *testing.T) *person {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Cleanup(testenv.Snapshot(t, runtimeBase(t)).Check)
	}
	return newPersonIn(t, t.TempDir(), rootlet)
}

// newPersonIn is one of several that are there at the same time; his home is in dir.
func newPersonIn(t *testing.T, dir, binary string) *person {
	t.Helper()
	home := filepath.Join(dir, "home")
	runtime, err := os.MkdirTemp(runtimeBase(t), "p")
	if err == nil {
		err = os.Mkdir(home, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		removeStore(t, home)
		os.RemoveAll(runtime)
	})
	return &person{t, []string{
		"HOME=" + home, "XDG_RUNTIME_DIR=" + runtime, "USER=" + os.Getenv("USER"),
		"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"),
	}, binary}
}

// runtime is his runtime directory; its name is short.
func (p *person) runtime() string { return strings.TrimPrefix(p.env[1], "XDG_RUNTIME_DIR=") }

// command is rootlet with these arguments, not started yet.
func (p *person) command(args ...string) *exec.Cmd {
	c := exec.Command(p.binary, args...)
	c.Env = p.env
	c.WaitDelay = patience // for whom it left behind with its output in hand
	return c
}

// rootlet runs the command, which must succeed, and returns its output.
func (p *person) rootlet(args ...string) string {
	p.t.Helper()
	stdout, stderr, code := p.try(args...)
	if code != 0 {
		p.t.Fatalf("rootlet %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

func (p *person) try(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	c := p.command(args...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	code = exitCode(p.t, c.Run())
	return out.String(), errs.String(), code
}

// exitCode is a shell's: 128 and the signal's number where one ended the command.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		t.Fatal(err)
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// until tries for a while.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not within %v", what, patience)
}

func ownerOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
