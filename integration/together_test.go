package integration

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// someone is a person with an image to run.
func someone(t *testing.T, image string) (*person, string) {
	t.Helper()
	p := newPerson(t)
	registry := newFakeRegistry()
	t.Cleanup(registry.server.Close)
	if err := registry.push(image, image); err != nil {
		t.Fatal(err)
	}
	return p, registry.address() + "/" + image
}

func TestTwentyAtOnce(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			// The first ones pull side by side, too.
			stdout, stderr, code := p.try("run", "--rm", image, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i))
			if code != i || stdout != fmt.Sprintln(i) {
				t.Errorf("run %d: exit code %d, printed %q and %q", i, code, stdout, stderr)
			}
		})
	}
	all.Wait()
	if left := p.rootlet("ps", "-a", "-q"); left != "" {
		t.Errorf("containers left: %s", left)
	}
}

// One name, wanted by ten at once, is given to exactly one.
func TestOneNameForOne(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	var all sync.WaitGroup
	codes := make([]int, 10)
	for i := range codes {
		all.Go(func() { _, _, codes[i] = p.try("run", "--name", "wanted", image, "true") })
	}
	all.Wait()
	given := 0
	for _, code := range codes {
		switch code {
		case 0:
			given++
		case 125:
		default:
			t.Errorf("exit code %d", code)
		}
	}
	if given != 1 {
		t.Errorf("%d of %d got the name", given, len(codes))
	}
	p.rootlet("rm", "wanted")
}

// Ctrl-C is a SIGINT to the whole process group of the terminal. Whenever it
// comes, rootlet ends within a second and leaves nothing but the image.
func TestInterruptedAtEachStage(t *testing.T) {
	p, image := someone(t, "busybox")
	interrupt := func(after time.Duration) {
		c := p.command("run", "--rm", "--init", image, "sleep", "20")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var stderr strings.Builder
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGINT)
		start := time.Now()
		code := exitCode(t, c.Wait())
		if took := time.Since(start); took > time.Second {
			t.Errorf("interrupted after %v: took %v to end", after, took)
		}
		if code != 128+int(syscall.SIGINT) && code != 125 {
			t.Errorf("interrupted after %v: exit code %d\n%s", after, code, stderr.String())
		}
	}
	// The first of these fall into the pull, the next into the start, the last
	// into the program.
	for _, after := range []time.Duration{1, 3, 6, 10, 15, 20, 25, 30, 40, 50, 70, 100, 150, 300, 600} {
		interrupt(after * time.Millisecond)
	}
	for after := time.Duration(1); after < 40; after += 3 {
		interrupt(after * time.Millisecond)
	}
	until(t, "no container is left", func() bool { return p.rootlet("ps", "-a", "-q") == "" })
	p.rootlet("run", "--rm", image, "true")
}

// Killed at any moment, rootlet leaves a store that works, with no manual step.
func TestKilledAtEachStage(t *testing.T) {
	p, image := someone(t, "busybox")
	for _, after := range []time.Duration{2, 5, 10, 15, 20, 30, 50, 100} {
		c := p.command("run", "--rm", image, "sleep", "0.5")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
		p.rootlet("run", "--rm", image, "true")
	}
	until(t, "no container is left", func() bool { return p.rootlet("ps", "-a", "-q") == "" })
}

// The data directory is the user's alone, and all that rootlet writes is below
// it and below the runtime directory.
func TestNothingIsWorldReadable(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("run", "--name", "kept", image, "true")
	data := strings.TrimPrefix(p.env[0], "HOME=") + "/.local/share/rootlet"
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("%s has mode %o", data, mode)
	}
	p.rootlet("rm", "kept")
}
