package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long an idle container is left alone before it is counted.
const settle = 2 * time.Second

// memory adds up what one idle container costs besides its own program: the PSS of
// every process that its start brought, without the client that stays attached.
func (b *bencher) memory() (row, error) {
	r := row{name: "memory of an idle container (slirp4netns), without the attached client", unit: "MB"}
	var notes []string
	for _, tool := range []string{"podman", "rootlet"} {
		helpers, client, err := b.idle(tool)
		if err != nil {
			return r, fmt.Errorf("%s: %w", tool, err)
		}
		var sum float64
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(helpers)) {
			sum += helpers[name]
			parts = append(parts, fmt.Sprintf("%s %.1f", name, helpers[name]))
		}
		if tool == "podman" {
			r.podman = sum
		} else {
			r.rootlet = sum
		}
		notes = append(notes, fmt.Sprintf("%s: %s; client %.1f", tool, strings.Join(parts, ", "), client))
	}
	r.note = strings.Join(notes, ". ")
	return r, nil
}

// idle runs a container that sleeps, and returns the PSS of its helpers by name and
// of its client, in MB.
func (b *bencher) idle(tool string) (helpers map[string]float64, client float64, err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, 0, fmt.Errorf("become a subreaper: %w", err)
	}
	before := processes()
	cmd := b.command(nil, "/usr/bin/env", tool, "run", "--rm", "--network", "slirp4netns", b.ref("busybox"), "sleep", "600")
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	defer func() { _ = cmd.Wait() }()
	time.Sleep(settle)
	helpers = map[string]float64{}
	var program int
	for pid := range processes() {
		if before[pid] {
			continue
		}
		name := processName(pid)
		if name == "busybox" || name == "sleep" {
			program = pid
			continue
		}
		pss, err := proportionalSize(pid)
		if errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrNotExist) {
			continue // gone, or about to be
		}
		if err != nil {
			stop(cmd, program)
			return nil, 0, err
		}
		if pid == cmd.Process.Pid {
			client = pss
			continue
		}
		helpers[name] += pss
	}
	stop(cmd, program)
	if program == 0 {
		return nil, 0, fmt.Errorf("no container is seen after %v", settle)
	}
	return helpers, client, nil
}

// stop ends the container's program, upon which everything else leaves.
func stop(cmd *exec.Cmd, program int) {
	if program == 0 {
		_ = cmd.Process.Kill()
		return
	}
	if p, err := os.FindProcess(program); err == nil {
		_ = p.Kill()
	}
}

// processes are all that descend from this one, with those whose parents are gone:
// conmon and podman's slirp4netns leave their makers behind, and come to us because
// we are a subreaper (prctl(2)).
func processes() map[int]bool {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			parent := parentOf(pid)
			children[parent] = append(children[parent], pid)
		}
	}
	found := map[int]bool{}
	for queue := []int{os.Getpid()}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			found[child] = true
			queue = append(queue, child)
		}
	}
	return found
}

func parentOf(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent, _ := strconv.Atoi(strings.TrimSpace(v))
			return parent
		}
	}
	return 0
}

// processName is the name under which a process was started: stages of one binary
// differ by that alone.
func processName(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "gone"
	}
	name, _, _ := strings.Cut(string(line), "\x00")
	return filepath.Base(name)
}

// proportionalSize is a process's PSS in MB.
func proportionalSize(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("no Pss for process %d", pid)
}
