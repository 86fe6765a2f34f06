package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"rootlet/internal/reportcard"
)

// engine is a way to run the probe, and what it saw.
type engine struct {
	name    string
	command []string
	card    *reportcard.Card
}

// The names that the comparison goes by: every engine of rootlet's begins with its name.
const (
	rootletName = "rootlet"
	podmanName  = "podman"
)

// engines are all with a network namespace of their own and nothing in it.
func (r *reporter) engines() []engine {
	probe := []string{"/probe", "--in-container", "--json"}
	run := []string{"run", "--rm", "--network", "none"}
	all := []engine{{name: rootletName, command: slices.Concat([]string{r.path("bin/rootlet")}, run, []string{image}, probe)}}
	if help, err := r.output(r.path("bin/rootlet"), "run", "--help"); err == nil && strings.Contains(help, "--sandbox") {
		all = append(all, engine{name: rootletName + " --sandbox", command: slices.Concat([]string{r.path("bin/rootlet")}, run, []string{"--sandbox", image}, probe)})
	}
	return append(all,
		engine{name: podmanName, command: r.podman(slices.Concat(run, []string{image}, probe)...)},
		engine{name: "bwrap", command: append([]string{
			"bwrap", "--unshare-all", "--ro-bind", r.path("root"), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
		}, probe...)})
}

// podman is its command line with a storage of its own. crun refuses hybrid cgroups with
// a controller in the v2 half, so there it is shown that half only.
func (r *reporter) podman(args ...string) []string {
	command := slices.Concat([]string{"podman", "--log-level", "error"}, args)
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); err != nil || args[0] != "run" {
		return command
	}
	script := fmt.Sprintf(`[ ! -d %[1]s ] || mount --bind %[1]s /sys/fs/cgroup; exec "$@"`, unified)
	return slices.Concat([]string{"podman", "unshare", "sh", "-c", script, "sh"}, command)
}

// look has the probe run, by a caller who has files open, and variables.
func (r *reporter) look(e engine) (*reportcard.Card, error) {
	cmd := r.command(e.command[0], e.command[1:]...)
	cmd.Env = append(cmd.Env, reportcard.Canary+"=the caller's")
	for _, name := range []string{"/etc/passwd", r.path("home"), "/dev/null", "/", "/etc/passwd", r.path("home"), "/etc/passwd"} {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(e.command, " "), err, trouble.String())
	}
	card := new(reportcard.Card)
	if err := json.Unmarshal(out, card); err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	return card, nil
}

// facts are what a reader must know of the machine and the engines.
func (r *reporter) facts() (string, error) {
	var versions []string
	for _, command := range [][]string{{"podman", "--version"}, {"crun", "--version"}, {"bwrap", "--version"}} {
		if _, err := exec.LookPath(command[0]); err != nil {
			continue // podman has another runtime
		}
		out, err := r.output(command[0], command[1:]...)
		if err != nil {
			return "", err
		}
		first, _, _ := strings.Cut(out, "\n")
		versions = append(versions, first)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; Linux %s; %s.", time.Now().UTC().Format("2006-01-02"), strings.TrimSpace(string(kernel)), strings.Join(versions, ", ")), nil
}
