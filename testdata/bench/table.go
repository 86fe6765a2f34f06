package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// describe records the machine and how podman was run, and fails unless both tools
// have the root filesystem that the table says.
func (b *bencher) describe() error {
	text, err := b.output(nil, "podman", "info", "--format", "json")
	if err != nil {
		return err
	}
	var info struct {
		Host struct {
			CgroupManager string
			CgroupVersion string
			Kernel        string
			OCIRuntime    struct{ Name, Version string }
		}
		Version struct{ Version string }
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return fmt.Errorf("podman info: %w", err)
	}
	for _, want := range []struct {
		tool, kind string
		env        []string
	}{
		{"podman", "overlay", nil},
		{"rootlet", "overlay", nil},
		{"podman", "fuse.fuse-overlayfs", b.fuseEnv()},
		{"rootlet", "fuse.fuse-overlayfs", b.fuseEnv()},
	} {
		if err := b.checkRoot(want.tool, want.kind, want.env); err != nil {
			return err
		}
	}
	runtimeVersion, _, _ := strings.Cut(info.Host.OCIRuntime.Version, "\n")
	b.facts = append([]string{
		fmt.Sprintf("%s; Linux %s, %d processors; %s.", time.Now().UTC().Format("2006-01-02"), info.Host.Kernel, runtime.NumCPU(), distribution()),
		fmt.Sprintf("podman %s as an ordinary user with sub-ids, %s, cgroups %s by %s; on native overlay (its storage.conf asks for it; Debian's default for such a user is vfs), seen in the container's /proc/mounts; on fuse-overlayfs by mount_program where the row says so.",
			info.Version.Version, runtimeVersion, info.Host.CgroupVersion, info.Host.CgroupManager),
	}, b.facts...)
	return nil
}

// checkRoot looks from within a container what its root is.
func (b *bencher) checkRoot(tool, kind string, env []string) error {
	mounts, err := b.output(env, tool, "run", "--rm", "--network", "none", b.ref("busybox"), "cat", "/proc/mounts")
	if err != nil {
		return err
	}
	found := "not in /proc/mounts"
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "/" {
			found = f[2] // the last one is on top
		}
	}
	if found != kind {
		return fmt.Errorf("%s: the container's root is %s, not %s", tool, found, kind)
	}
	return nil
}

func distribution() string {
	out, err := exec.Command("sh", "-c", ". /etc/os-release && echo $PRETTY_NAME").Output()
	if err != nil {
		return "unknown distribution"
	}
	return strings.TrimSpace(string(out))
}

// verdict says whether a row meets its target, and how it is put.
func (r row) verdict() (wanted, result string, passed bool) {
	t := r.target
	switch {
	case t.ratio > 0:
		wanted = fmt.Sprintf("ratio ≤ %.2f", t.ratio)
		if t.goal > 0 {
			wanted += fmt.Sprintf(" (goal %.2f)", t.goal)
		}
		passed = r.rootlet/r.podman <= t.ratio
		result = word(passed)
		if t.goal > 0 && r.rootlet/r.podman <= t.goal {
			result += ", goal"
		}
		return wanted, result, passed
	case t.ratioMin > 0:
		wanted = fmt.Sprintf("ratio ≥ %.2f", t.ratioMin)
		if t.goal > 0 {
			wanted += fmt.Sprintf(" (goal %.2f)", t.goal)
		}
		passed = r.rootlet/r.podman >= t.ratioMin
		result = word(passed)
		if t.goal > 0 && r.rootlet/r.podman >= t.goal {
			result += ", goal"
		}
		return wanted, result, passed
	case t.least > 0:
		passed = r.rootlet >= t.least
		return fmt.Sprintf("≥ %g", t.least), word(passed), passed
	case t.nothing:
		return "none", word(r.rootlet == 0), r.rootlet == 0
	case t.absolute > 0:
		passed = r.rootlet <= t.absolute
		wanted, result = fmt.Sprintf("≤ %g %s", t.absolute, r.unit), word(passed)
		if t.goal > 0 {
			wanted += fmt.Sprintf(" (goal %g)", t.goal)
		}
		if r.rootlet <= t.goal {
			result += ", goal"
		}
		return wanted, result, passed
	}
	return "", "", true
}

// amount gives what is small its digits.
func (r row) amount(v float64) string {
	digits := 1
	if v != 0 && v < 1 {
		digits = 2
	}
	return fmt.Sprintf("%.*f %s", digits, v, r.unit)
}

func word(passed bool) string {
	if passed {
		return "PASS"
	}
	return "MISS"
}

func allPassed(rows []row) bool {
	for _, r := range rows {
		if _, _, passed := r.verdict(); !passed {
			return false
		}
	}
	return true
}

// table is the Markdown between the markers.
func (b *bencher) table(rows []row) string {
	var s strings.Builder
	s.WriteString("| case | podman | rootlet | ratio | target | |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		podman, ratio := "", ""
		if r.podman > 0 {
			podman = r.amount(r.podman)
			ratio = fmt.Sprintf("%.2f", r.rootlet/r.podman)
		}
		wanted, result, _ := r.verdict()
		name := r.name
		if r.note != "" {
			name += " (" + r.note + ")"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s |\n", name, podman, r.amount(r.rootlet), ratio, wanted, result)
	}
	s.WriteString("\n- Medians under hyperfine; the tools take turns in up to five rounds. Runs of each:")
	for _, c := range b.cases() {
		rounds, perRound := turns(b.runs, c.share)
		fmt.Fprintf(&s, " %s %d;", c.name, rounds*perRound)
	}
	s.WriteString(" no run failed.\n")
	for _, f := range b.facts {
		s.WriteString("- " + f + "\n")
	}
	return s.String()
}
