package cgroup

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

const someID = "0123456789abcdef"

func pointer(n int64) *int64 { return &n }

// everything asks for all limits.
var everything = record.Limits{
	Memory: 64 << 20, MemorySwap: 96 << 20, MemoryReservation: 32 << 20, NanoCPUs: 5e8, CPUShares: 512,
	CpusetCPUs: "0-1", CpusetMems: "0", Pids: pointer(20), BlkioWeight: 500, OOMKillDisable: true,
}

// hasFiles has a directory have files that are not there but in a kernel.
func hasFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// says checks what files say.
func says(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.TrimSpace(string(text)) != value {
			t.Errorf("%s: %q, %v; want %q", name, text, err, value)
		}
	}
}

func TestLimitsOfVersion2(t *testing.T) {
	parent := t.TempDir()
	hasFiles(t, parent, "cgroup.controllers")
	g, err := Make(Place{Dir: parent}, someID)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "rootlet-0123456789ab")
	hasFiles(t, dir, "memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight", "pids.max", "cpuset.cpus", "io.weight")
	by := g.Apply(everything)
	says(t, dir, map[string]string{
		"memory.max": "67108864", "memory.swap.max": "33554432", "memory.low": "33554432", "cpu.max": "50000 100000",
		"cpu.weight": "59", "pids.max": "20", "cpuset.cpus": "0-1", "io.weight": "4950",
	})
	for name, way := range by {
		held := name != record.LimitCpusetMems && name != record.LimitOOMKillDisable
		if (way.By == WayUnified) != held || (way.Why == "") != held {
			t.Errorf("%s: %+v", name, way)
		}
	}
	if got, want := slices.Sorted(maps.Keys(by)), slices.Sorted(slices.Values(everything.Names())); !slices.Equal(got, want) {
		t.Errorf("answers for %q, asked for %q", got, want)
	}
	if why := by[record.LimitCpusetMems].Why; !strings.Contains(why, "the controller cpuset is not delegated") {
		t.Error(why)
	}
}

func TestLimitsAreLifted(t *testing.T) {
	parent := t.TempDir()
	g, err := Make(Place{Dir: parent}, someID)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "rootlet-0123456789ab")
	hasFiles(t, dir, "memory.max", "cpu.max", "pids.max", "cpu.weight")
	if by := g.Apply(record.Limits{Pids: pointer(-1), CPUQuota: -1}); len(by) != 0 {
		t.Errorf("answers for %v", by)
	}
	says(t, dir, map[string]string{"memory.max": "max", "cpu.max": "max 100000", "pids.max": "max", "cpu.weight": "100"})
}

func TestLimitsOfVersion1(t *testing.T) {
	parents := map[string]string{}
	for _, c := range []string{"memory", "cpu", "pids", "cpuset", "freezer"} {
		parents[c] = t.TempDir()
	}
	hasFiles(t, parents["cpuset"], "cpuset.cpus", "cpuset.mems")
	// The kernel makes the files of a new group; here they are there before.
	cpuset := filepath.Join(parents["cpuset"], "rootlet-0123456789ab")
	if err := os.MkdirAll(filepath.Join(cpuset, inner), 0o755); err != nil {
		t.Fatal(err)
	}
	hasFiles(t, cpuset, "cpuset.cpus", "cpuset.mems")
	hasFiles(t, filepath.Join(cpuset, inner), "cpuset.cpus", "cpuset.mems")
	g, err := Make(Place{Dirs: parents}, someID)
	if err != nil {
		t.Fatal(err)
	}
	dir := func(c string) string { return filepath.Join(parents[c], "rootlet-0123456789ab") }
	hasFiles(t, dir("memory"), "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.oom_control")
	hasFiles(t, dir("cpu"), "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares")
	hasFiles(t, dir("pids"), "pids.max")
	by := g.Apply(everything)
	says(t, dir("memory"), map[string]string{
		"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "100663296", "memory.soft_limit_in_bytes": "33554432", "memory.oom_control": "1",
	})
	says(t, dir("cpu"), map[string]string{"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000", "cpu.shares": "512"})
	says(t, dir("pids"), map[string]string{"pids.max": "20"})
	says(t, cpuset, map[string]string{"cpuset.cpus": "0-1", "cpuset.mems": "0"})
	says(t, filepath.Join(cpuset, inner), map[string]string{"cpuset.cpus": "0-1", "cpuset.mems": "0"})
	for name, way := range by {
		if held := name != record.LimitBlkioWeight; (way.By == WayLegacy) != held {
			t.Errorf("%s: %+v", name, way)
		}
	}
	var state record.State
	g.Note(&state)
	if again := Of(state, someID); again == nil || !again.Freezes() {
		t.Errorf("the record names %+v", again)
	}
	state.Cgroups["memory"] = parents["memory"]
	if Of(state, someID) != nil {
		t.Error("a damaged record names another directory")
	}
}

func TestWeights(t *testing.T) {
	for shares, want := range map[int64]int{0: 100, 1: 1, 2: 1, 256: 35, 512: 59, 1024: 100, 2048: 174, 262144: 10000, 1 << 40: 10000} {
		if got := cpuWeight(shares); got != want {
			t.Errorf("%d shares: weight %d, want %d", shares, got, want)
		}
	}
	for weight, want := range map[int]int{0: 100, 10: 1, 1000: 10000} {
		if got := ioWeight(weight); got != want {
			t.Errorf("%d: weight %d, want %d", weight, got, want)
		}
	}
}

func TestOOMKills(t *testing.T) {
	dir := t.TempDir()
	g := &legacy{map[string]string{"memory": dir}}
	if err := os.Mkdir(filepath.Join(dir, inner), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, counted := g.OOMKills(); counted {
		t.Error("counts without a file")
	}
	if err := os.WriteFile(filepath.Join(dir, inner, "memory.oom_control"), []byte("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, counted := g.OOMKills(); n != 3 || !counted {
		t.Errorf("%d, %t", n, counted)
	}
	if _, counted := (&legacy{map[string]string{"pids": dir}}).OOMKills(); counted {
		t.Error("counts without the controller")
	}
}
