package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// hundred has a hundred containers run at once, and removes them all.
func (b *bencher) hundred() ([]row, error) {
	up := row{name: "a hundred containers, sixteen run -d at a time: all up", unit: "ms"}
	held := row{name: "their memory, besides their programs", unit: "MiB"}
	gone := row{name: "all hundred removed", unit: "ms"}
	for _, tool := range []string{"podman", "rootlet"} {
		upMS, mib, goneMS, err := b.many(tool, 100)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tool, err)
		}
		if tool == "podman" {
			up.podman, held.podman, gone.podman = upMS, mib, goneMS
		} else {
			up.rootlet, held.rootlet, gone.rootlet = upMS, mib, goneMS
		}
	}
	return []row{up, held, gone}, nil
}

func (b *bencher) many(tool string, n int) (upMS, mib, goneMS float64, err error) {
	f, err := startFamily()
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.close()
	defer b.clear()
	line := fmt.Sprintf("seq %d | xargs -P 16 -I N %s run -d --network none %s sleep 100000", n, tool, b.ref("busybox"))
	if upMS, err = b.timed(line); err != nil {
		return 0, 0, 0, err
	}
	ids, err := b.output(nil, tool, "ps", "-q")
	if err != nil {
		return 0, 0, 0, err
	}
	if got := len(strings.Fields(ids)); got != n {
		return 0, 0, 0, fmt.Errorf("%d containers of %d run", got, n)
	}
	time.Sleep(settle)
	for _, pid := range f.members() {
		if name := processName(pid); name == "sleep" || name == "busybox" {
			continue
		}
		s, err := sizeOfProcess(pid)
		if err != nil {
			return 0, 0, 0, err
		}
		mib += s.total()
	}
	if goneMS, err = b.timed(removeAll(tool)); err != nil {
		return 0, 0, 0, err
	}
	left, err := b.output(nil, tool, "ps", "-aq")
	if err == nil && left != "" {
		err = fmt.Errorf("%d containers are left", len(strings.Fields(left)))
	}
	return upMS, mib, goneMS, err
}

// timed runs a line and says how long it took, in milliseconds.
func (b *bencher) timed(line string) (float64, error) {
	start := time.Now()
	_, err := b.output(nil, "sh", "-c", line)
	return float64(time.Since(start)) / 1e6, err
}

// wakeUps counts how often a minute the helpers of an idle container run: the
// context switches of all their threads.
func (b *bencher) wakeUps() ([]row, error) {
	const minute = time.Minute
	r := row{name: "wake-ups of an idle container's monitor, in a minute", unit: "switches", target: target{nothing: true}}
	helpers := map[string][]int{}
	for _, tool := range []string{"podman", "rootlet"} {
		f, err := startFamily()
		if err != nil {
			return nil, err
		}
		defer f.close()
		if _, err := b.output(nil, tool, "run", "-d", "--network", "none", b.ref("busybox"), "sleep", "100000"); err != nil {
			return nil, err
		}
		time.Sleep(settle)
		for _, pid := range f.members() {
			if name := processName(pid); name == "conmon" || strings.HasPrefix(name, "rootlet") {
				helpers[tool] = append(helpers[tool], pid)
			}
		}
	}
	defer b.clear()
	before := map[string]float64{"podman": switches(helpers["podman"]), "rootlet": switches(helpers["rootlet"])}
	for tool, count := range before {
		if count == 0 {
			return nil, fmt.Errorf("%s: no monitor is seen", tool)
		}
	}
	time.Sleep(minute)
	r.podman = switches(helpers["podman"]) - before["podman"]
	r.rootlet = switches(helpers["rootlet"]) - before["rootlet"]
	r.note = fmt.Sprintf("podman: %.0f", r.podman)
	return []row{r}, nil
}

// switches adds up the context switches of all threads of the processes.
func switches(pids []int) (n float64) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue
			}
			for _, name := range []string{"voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"} {
				count, _ := strconv.ParseFloat(field(string(text), name), 64)
				n += count
			}
		}
	}
	return n
}
