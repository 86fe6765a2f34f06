package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// asleep are the monitors of the caller's that have nothing to do: what they are
// called, and how often each was scheduled away, by pid.
func asleep(t *testing.T) map[int]int {
	t.Helper()
	found := map[int]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		line, _ := os.ReadFile(dir + "/cmdline")
		info, err := os.Stat(dir)
		if err != nil || !strings.HasPrefix(string(line), "rootlet-sleeper\x00") || ownerOf(info) != os.Getuid() {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		found[pid] = sum(t, dir+"/status", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:")
	}
	return found
}

// sum adds up the numbers behind the given words.
func sum(t *testing.T, path string, words ...string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		for _, word := range words {
			if len(fields) > 1 && fields[0] == word {
				n, err := strconv.Atoi(fields[1])
				if err != nil {
					t.Fatal(err)
				}
				total += n
			}
		}
	}
	return total
}

// TestAnIdleMonitorSleeps: it takes next to no memory, never wakes up by itself,
// and is there when something happens.
func TestAnIdleMonitorSleeps(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	before := asleep(t)
	p.rootlet("run", "-d", "--name", "idle", "--network", "none", image, "sleep", "1000")
	p.rootlet("run", "-di", "--name", "reads", "--network", "none", "--health-cmd", "true", "--health-interval", "1h", image, "sleep", "1000")
	defer p.rootlet("rm", "-f", "idle", "reads")
	var pids []int
	until(t, "two monitors that sleep", func() bool {
		pids = nil
		for pid := range asleep(t) {
			if _, old := before[pid]; !old {
				pids = append(pids, pid)
			}
		}
		return len(pids) == 2
	})
	for _, pid := range pids {
		if kib := sum(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:"); kib > 256 {
			t.Errorf("a monitor that sleeps takes %d KiB", kib)
		}
	}
	first := asleep(t)
	time.Sleep(3 * time.Second)
	for _, pid := range pids {
		if now, ok := asleep(t)[pid]; !ok || now != first[pid] {
			t.Errorf("monitor %d was to sleep and woke up (%d switches, then %d)", pid, first[pid], now)
		}
	}

	// It hears of what the program writes, of its clients, and of the end.
	p.rootlet("exec", "reads", "sh", "-c", "echo written >/proc/1/fd/1")
	until(t, "a line in the log", func() bool { return strings.Contains(p.rootlet("logs", "reads"), "written") })
	p.rootlet("stop", "-t", "0", "reads")
	if state := p.rootlet("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "reads"); state != "exited 137\n" {
		t.Errorf("stopped while its monitor slept: %q", state)
	}
}
