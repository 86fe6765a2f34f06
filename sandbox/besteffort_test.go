package sandbox

import (
	"slices"
	"testing"

	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
)

func TestChooseProcessors(t *testing.T) {
	for _, test := range []struct {
		limits record.Limits
		may    []int
		id     string
		want   string
	}{
		{record.Limits{NanoCPUs: 1e9}, []int{0, 1, 2, 3}, "00000000ff", "0"},
		{record.Limits{NanoCPUs: 1e9}, []int{0, 1, 2, 3}, "00000006ff", "2"},
		{record.Limits{NanoCPUs: 25e8}, []int{0, 1, 2, 3}, "00000002", "0,2-3"},
		{record.Limits{NanoCPUs: 1e7}, []int{4, 6}, "00000001", "6"},
		{record.Limits{NanoCPUs: 8e9}, []int{4, 6}, "00000001", "4,6"},
		{record.Limits{CPUQuota: 150_000}, []int{0, 1, 2}, "00000000", "0-1"},
		{record.Limits{CPUQuota: 50_000, CPUPeriod: 10_000}, []int{0, 1, 2, 3, 4, 5}, "00000000", "0-4"},
		{record.Limits{CpusetCPUs: "1-2"}, []int{0, 1, 2, 3}, "00000000", "1-2"},
		{record.Limits{CpusetCPUs: "1-2", NanoCPUs: 1e9}, []int{0, 1, 2, 3}, "00000001", "2"},
		{record.Limits{CpusetCPUs: "2,7"}, []int{0, 1, 2, 3}, "00000001", "2"},
		{record.Limits{CpusetCPUs: "7"}, []int{0, 1}, "00000001", ""},
	} {
		got, err := choose(test.limits, test.may, test.id)
		if formatList(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%+v of %v: %v, %v; want %s", test.limits, test.may, got, err, test.want)
		}
	}
}

func TestNiceOfShares(t *testing.T) {
	for shares, want := range map[int64]int{1024: 0, 820: 1, 512: 3, 102: 10, 15: 19, 2: 19} {
		if got := niceOf(shares); got != want {
			t.Errorf("%d: %d, want %d", shares, got, want)
		}
	}
}

// TestBoundPrograms has what a program begins with follow from what its container's state
// says holds.
func TestBoundPrograms(t *testing.T) {
	pids := int64(20)
	s := &record.Spec{Limits: record.Limits{Pids: &pids, CPUShares: 512, NanoCPUs: 1e9}}
	free := program{filter: &seccomp.Filter{}}
	if err := free.bind(s, record.State{LimitedBy: map[string]record.Way{record.LimitPids: {By: "cgroup v2"}}}); err != nil ||
		free.limits != nil || free.nice != 0 || free.processors != nil || free.pinned != nil {
		t.Errorf("its control group holds it: %+v, %v", free, err)
	}
	state := record.State{Processors: "1,3", LimitedBy: map[string]record.Way{
		record.LimitPids: {By: record.ByNProc}, record.LimitCPUShares: {By: record.BestEffort + ": nice 3"},
	}}
	for nproc, want := range map[int64]uint64{10: 10, 100: 20} {
		g := program{filter: &seccomp.Filter{}, limits: limitsOf([]record.Ulimit{{Name: "nproc", Soft: nproc, Hard: nproc}})}
		if err := g.bind(s, state); err != nil {
			t.Fatal(err)
		}
		last := g.limits[len(g.limits)-1]
		if last.resource != ulimits["nproc"] || last.value.Max != want || last.value.Cur != want {
			t.Errorf("--ulimit nproc=%d: %+v", nproc, last)
		}
		if g.nice != 3 || !slices.Equal(g.processors, []int{1, 3}) || g.pinned == nil {
			t.Errorf("%+v", g)
		}
	}
	unfiltered := program{}
	if err := unfiltered.bind(s, state); err != nil || unfiltered.pinned != nil {
		t.Errorf("a filter where none was to be: %v", err)
	}
}
