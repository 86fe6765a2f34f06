package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// Killed at any moment, what removes, names or mends images leaves a store that
// works, and in which the next command finds nothing to mend.
func TestImageCommandsAreKilled(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedUser(t)
	p, image := someone(t, "layered")
	p.rootlet("pull", image)
	for _, args := range [][]string{
		{"rmi", "-f", image}, {"image", "prune", "-a", "-f"}, {"tag", image, "mine"}, {"system", "check", "--repair"},
	} {
		for after := 2 * time.Millisecond; after < 60*time.Millisecond; after += 7 * time.Millisecond {
			if args[0] == "system" {
				p.rootlet("pull", "-q", image)
				if !wreck(t, p.store()+"/overlay-layers/layers.json", "truncated") {
					t.Fatal("nothing to wreck")
				}
			}
			c := p.command(args...)
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // its worker, too
			_ = c.Wait()
			if args[0] == "system" {
				p.rootlet("system", "check", "--repair")
			}
			p.rootlet("pull", "-q", image)
			if found, stderr, code := p.try("system", "check"); code != 0 || found != "" {
				t.Errorf("%v, killed after %v: exit code %d, %s%s", args, after, code, found, stderr)
			}
			p.rootlet("run", "--rm", "--network", "none", image, "true")
		}
	}
	if left := p.rootlet("images", "-q", "-f", "dangling=true"); strings.TrimSpace(left) != "" {
		t.Errorf("without a name: %s", left)
	}
}
