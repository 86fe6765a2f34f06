package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The tools take turns, in rounds, so that a busy moment of the machine does not hit
// one of them alone.
const (
	minRuns   = 3
	maxRounds = 5
)

// benchCase is commands that do the same thing; the first is podman's, the second
// rootlet's, others are for reference.
type benchCase struct {
	name     string
	commands []string
	others   []string // the names of those from the third on
	before   []string // lines for a shell, before all runs; containers go after them
	prepare  []string // before each run of the command of that place; not measured
	env      []string
	share    int // of BENCH_RUNS: one of share
	target   target
}

// target is what issue and design ask for; zero: nothing.
type target struct {
	ratio    float64 // of rootlet's median to podman's
	absolute float64 // of rootlet's, in the row's unit
	goal     float64 // of either, what would be better still
	nothing  bool    // rootlet's is 0
	ratioMin float64 // of rootlet's median to podman's, where more is better
	least    float64 // of rootlet's, in the row's unit
}

// row is one line of the table.
type row struct {
	name            string
	unit            string
	podman, rootlet float64 // medians; 0: not measured
	target          target
	note            string
}

func (b *bencher) cases() []benchCase {
	busybox := b.ref("busybox")
	run := func(tool, flags string) string {
		return fmt.Sprintf("%s run --rm %s %s true", tool, flags, busybox)
	}
	sixteen := func(tool string) string {
		return fmt.Sprintf("sh -c 'seq 16 | xargs -P 16 -I N %s'", run(tool, "--network none"))
	}
	bwrap := "bwrap --unshare-all --ro-bind " + b.path("rootfs") + " / --proc /proc --dev /dev /bin/true"
	return append([]benchCase{
		{
			name:     "run --network none",
			commands: []string{run("podman", "--network none"), run("rootlet", "--network none"), bwrap},
			others:   []string{"bubblewrap"},
			share:    1, target: target{ratio: 0.20, goal: 0.12},
		},
		{
			name:     "run --network slirp4netns",
			commands: []string{run("podman", "--network slirp4netns"), run("rootlet", "--network slirp4netns")},
			share:    1, target: target{ratio: 0.25},
		},
		{
			name:     "run --network builtin (podman: slirp4netns)",
			commands: []string{run("podman", "--network slirp4netns"), run("rootlet", "--network builtin")},
			share:    1,
		},
		{
			name:     "run -p, --network slirp4netns",
			commands: []string{run("podman", "--network slirp4netns -p 127.0.0.1::80"), run("rootlet", "--network slirp4netns -p 127.0.0.1::80")},
			share:    1,
		},
		{
			name:     "run --network none, fuse-overlayfs",
			commands: []string{run("podman", "--network none"), run("rootlet", "--network none")},
			env:      b.fuseEnv(), share: 1,
		},
		{
			name:     "sixteen runs at a time",
			commands: []string{sixteen("podman"), sixteen("rootlet")},
			share:    3, target: target{ratio: 0.20},
		},
		{
			name:     "version",
			commands: []string{"podman --version", "rootlet version"},
			share:    1, target: target{absolute: 5},
		},
	}, slices.Concat(b.imageCases(), b.lifecycleCases())...)
}

func (b *bencher) measure(only string) (rows []row, err error) {
	for _, c := range b.cases() {
		if !strings.Contains(c.name, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", c.name)
		medians, err := b.medians(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		r := row{name: c.name, unit: "ms", podman: medians[0], rootlet: medians[1], target: c.target}
		var others []string
		for i, name := range c.others {
			others = append(others, fmt.Sprintf("%s: %.1f ms", name, medians[2+i]))
		}
		r.note = strings.Join(others, ", ")
		rows = append(rows, r)
		if i := slices.Index(c.others, floor); i >= 0 {
			rows = append(rows, toFloor(r, medians[2+i]))
		}
	}
	if r, ok := flatness(rows); ok {
		rows = append(rows, r)
	}
	if r, ok := stackCost(rows); ok {
		rows = append(rows, r)
	}
	for _, special := range []struct {
		name    string
		measure func() ([]row, error)
	}{{"isolation", b.isolation}, {"peak memory of a pull", b.peak}, {"package init", b.packageInit}, {"traffic", b.traffic}, {"published", b.published}, {"connections", b.connections}, {"memory", b.memory}, {"hundred", b.hundred}, {"wake-ups", b.wakeUps}} {
		if !strings.Contains(special.name, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", special.name)
		got, err := special.measure()
		b.clear()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", special.name, err)
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// stackCost is how much longer a container takes that has the builtin driver's stack.
func stackCost(rows []row) (row, bool) {
	at := func(name string) int {
		return slices.IndexFunc(rows, func(r row) bool { return strings.HasPrefix(r.name, name) })
	}
	with, without := at("run --network builtin"), at("run --network none")
	if with < 0 || without < 0 {
		return row{}, false
	}
	return row{
		name: "run --network builtin, to run --network none", unit: "times",
		rootlet: rows[with].rootlet / rows[without].rootlet, target: target{absolute: 1.1},
	}, true
}

// medians runs the commands in turns under hyperfine and returns the median of each,
// in milliseconds.
func (b *bencher) medians(c benchCase) ([]float64, error) {
	if c.before != nil || c.prepare != nil {
		defer b.clear()
	}
	if err := b.shell(c.env, c.before); err != nil {
		return nil, err
	}
	times := make([][]float64, len(c.commands))
	rounds, perRound := turns(b.runs, c.share)
	for range rounds {
		got, err := b.hyperfine(c, perRound)
		if err != nil {
			return nil, err
		}
		for i := range times {
			times[i] = append(times[i], got[i]...)
		}
	}
	medians := make([]float64, len(times))
	for i := range times {
		medians[i] = 1000 * median(times[i])
	}
	return medians, nil
}

// turns divides one of share of the runs into rounds.
func turns(runs, share int) (rounds, perRound int) {
	n := max(minRuns, runs/share)
	rounds = min(n, maxRounds)
	return rounds, n / rounds
}

func (b *bencher) hyperfine(c benchCase, runs int) ([][]float64, error) {
	export := b.path("hyperfine.json")
	args := []string{"--shell=none", "--style=none", "--runs", strconv.Itoa(runs), "--export-json", export}
	if c.prepare == nil {
		args = append(args, "--warmup", "2")
	}
	for _, p := range c.prepare {
		args = append(args, "--prepare", p)
	}
	if _, err := b.output(c.env, "hyperfine", append(args, c.commands...)...); err != nil {
		return nil, errors.Join(err, b.explain(c))
	}
	text, err := os.ReadFile(export)
	if err != nil {
		return nil, err
	}
	var result struct {
		Results []struct {
			Times []float64 `json:"times"`
		} `json:"results"`
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return nil, fmt.Errorf("hyperfine's export: %w", err)
	}
	var times [][]float64
	for _, r := range result.Results {
		times = append(times, r.Times)
	}
	if len(times) != len(c.commands) {
		return nil, fmt.Errorf("hyperfine measured %d of %d commands", len(times), len(c.commands))
	}
	return times, nil
}

// explain runs each command once more, for the message that hyperfine swallows.
func (b *bencher) explain(c benchCase) error {
	for _, command := range c.commands {
		if _, err := b.output(c.env, "sh", "-c", command); err != nil {
			return err
		}
	}
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock`)

// packageInit adds up what the packages of the binary do before main.
func (b *bencher) packageInit() ([]row, error) {
	var sums []float64
	worst := map[string]float64{}
	for range b.runs {
		cmd := b.command([]string{"GODEBUG=inittrace=1"}, b.path("bin/rootlet"), "version")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("rootlet version: %w: %s", err, out)
		}
		var sum float64
		for _, m := range initLine.FindAllStringSubmatch(string(out), -1) {
			ms, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return nil, err
			}
			sum += ms
			worst[m[1]] += ms
		}
		sums = append(sums, sum)
	}
	if len(worst) == 0 {
		return nil, errors.New("GODEBUG=inittrace=1 prints no package")
	}
	r := row{name: "package init before main", unit: "ms", rootlet: median(sums), target: target{absolute: 3}}
	for name, ms := range worst {
		if r.note == "" || ms > worst[r.note] {
			r.note = name
		}
	}
	r.note = fmt.Sprintf("most of it: %s, %.2f ms", r.note, worst[r.note]/float64(b.runs))
	return []row{r}, nil
}
