package record

import (
	"slices"
	"strings"
	"testing"
)

func number(n int64) *int64 { return &n }

func TestLimitsAreChecked(t *testing.T) {
	const mb = 1 << 20
	for _, test := range []struct {
		limits Limits
		want   string // the flag that is at fault; empty: none
	}{
		{Limits{}, ""},
		{Limits{Memory: 6 * mb, MemorySwap: -1, MemoryReservation: 6 * mb, NanoCPUs: 2e9, CPUShares: 2, Pids: number(-1), BlkioWeight: 10, OOMKillDisable: true}, ""},
		{Limits{CPUQuota: 1000, CPUPeriod: 1_000_000}, ""},
		{Limits{CPUQuota: -1}, ""},
		{Limits{Memory: 6*mb - 1}, "--memory:"},
		{Limits{Memory: -1}, "--memory:"},
		{Limits{MemorySwap: 10 * mb}, "--memory-swap:"},
		{Limits{Memory: 10 * mb, MemorySwap: 9 * mb}, "--memory-swap:"},
		{Limits{Memory: 10 * mb, MemorySwap: -2}, "--memory-swap:"},
		{Limits{MemoryReservation: mb}, "--memory-reservation:"},
		{Limits{Memory: 10 * mb, MemoryReservation: 11 * mb}, "--memory-reservation:"},
		{Limits{NanoCPUs: 2e9 + 1}, "--cpus:"},
		{Limits{NanoCPUs: 1e6}, "--cpus:"},
		{Limits{NanoCPUs: 1e9, CPUQuota: 1000}, "--cpus:"},
		{Limits{NanoCPUs: 1e9, CPUPeriod: 1000}, "--cpus:"},
		{Limits{CPUPeriod: 999}, "--cpu-period:"},
		{Limits{CPUPeriod: 1_000_001}, "--cpu-period:"},
		{Limits{CPUQuota: 999}, "--cpu-quota:"},
		{Limits{CPUQuota: -2}, "--cpu-quota:"},
		{Limits{CPUShares: 1}, "--cpu-shares:"},
		{Limits{CPUShares: -5}, "--cpu-shares:"},
		{Limits{Pids: number(-2)}, "--pids-limit:"},
		{Limits{BlkioWeight: 9}, "--blkio-weight:"},
		{Limits{BlkioWeight: 1001}, "--blkio-weight:"},
		{Limits{OOMKillDisable: true}, "--oom-kill-disable:"},
	} {
		err := test.limits.Check(2)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.limits, err, test.want)
		}
	}
}

func TestLimitsInNumbers(t *testing.T) {
	for _, test := range []struct {
		limits        Limits
		quota, period int64
	}{
		{Limits{}, 0, 100_000},
		{Limits{NanoCPUs: 15e8}, 150_000, 100_000},
		{Limits{CPUQuota: 5000, CPUPeriod: 10_000}, 5000, 10_000},
		{Limits{CPUQuota: -1}, 0, 100_000},
	} {
		if quota, period := test.limits.CPU(); quota != test.quota || period != test.period {
			t.Errorf("%+v: %d in %d", test.limits, quota, period)
		}
	}
	for _, test := range []struct {
		limits  Limits
		swap    int64
		limited bool
	}{
		{Limits{}, 0, false},
		{Limits{Memory: 100}, 100, true},
		{Limits{Memory: 100, MemorySwap: 100}, 0, true},
		{Limits{Memory: 100, MemorySwap: 150}, 50, true},
		{Limits{Memory: 100, MemorySwap: -1}, 0, false},
	} {
		if swap, limited := test.limits.Swap(); swap != test.swap || limited != test.limited {
			t.Errorf("%+v: %d, %t", test.limits, swap, limited)
		}
	}
}

func TestASandboxHasLimitsOfItsOwn(t *testing.T) {
	s := Spec{Sandbox: true}
	if l := s.Holding(); !slices.Equal(l.Names(), []string{LimitMemory, LimitPids}) || s.Limits.Any() {
		t.Errorf("holds %q, asked for %+v", l.Names(), s.Limits)
	}
	s.Limits = Limits{Memory: 1 << 20, Pids: number(-1)}
	if l := s.Holding(); l.Memory != 1<<20 || *l.Pids != -1 {
		t.Errorf("the user's are %+v", l)
	}
	if s.Sandbox = false; s.Holding() != s.Limits {
		t.Errorf("another has %+v", s.Holding())
	}
}

func TestLimitsChange(t *testing.T) {
	r := Root(t.TempDir())
	c, err := r.Create("one")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteSpec(&Spec{Version: Version, ID: c.ID, Name: "one", Limits: Limits{Memory: 1 << 30}}); err != nil {
		t.Fatal(err)
	}
	err = r.Change(c.ID, func(s *Settings) error { s.Limits.NanoCPUs = 1e9; return nil })
	if s, readErr := r.Spec(c.ID); err != nil || readErr != nil || s.Limits != (Limits{Memory: 1 << 30, NanoCPUs: 1e9}) {
		t.Errorf("%+v, %v, %v", s.Limits, err, readErr)
	}
}
