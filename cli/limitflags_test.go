package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

func TestLimitFlags(t *testing.T) {
	text, n := func(s string) *string { return &s }, func(i int) *int { return &i }
	f := limitFlags{
		Memory: text("64m"), MemorySwap: text("-1"), MemoryReservation: text("32m"), CPUs: text("0.25"), CPUShares: n(512),
		CpusetCPUs: text("0"), PidsLimit: n(0), BlkioWeight: n(300),
	}
	l, err := f.over(record.Limits{CPUPeriod: 0, Memory: 1 << 40})
	pids := int64(0)
	l.Pids, pids = &pids, *l.Pids
	want := record.Limits{Memory: 64 << 20, MemorySwap: -1, MemoryReservation: 32 << 20, NanoCPUs: 25e7, CPUShares: 512, CpusetCPUs: "0", BlkioWeight: 300, Pids: l.Pids}
	if err != nil || l != want || pids != 0 {
		t.Errorf("%+v, %d processes, %v", l, pids, err)
	}
	for _, test := range []struct {
		flags limitFlags
		want  string
	}{
		{limitFlags{Memory: text("much")}, `invalid --memory "much": want a size`},
		{limitFlags{Memory: text("-1")}, `invalid --memory "-1"`},
		{limitFlags{Memory: text("5m")}, "invalid --memory: at least 6m"},
		{limitFlags{MemorySwap: text("x")}, `invalid --memory-swap "x"`},
		{limitFlags{CPUs: text("1/0")}, `invalid --cpus "1/0"`},
		{limitFlags{CPUs: text("0.1234567891")}, "at most nine digits"},
		{limitFlags{CPUs: text("9999")}, "invalid --cpus: from 0.01 to"},
		{limitFlags{CPUs: text("1e999999999")}, "want a number"},
		{limitFlags{CpusetCPUs: text("0-")}, "want a list such as 0-2,4"},
		{limitFlags{CpusetCPUs: text("8000")}, "there is no 8000 here"},
	} {
		if _, err := test.flags.over(record.Limits{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

func TestCheckSet(t *testing.T) {
	online := filepath.Join(t.TempDir(), "online")
	if err := os.WriteFile(online, []byte("0-3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkSet("1,3", online); err != nil {
		t.Error(err)
	}
	if err := checkSet("4", online); err == nil || !strings.Contains(err.Error(), "there is no 4 here, but 0-3") {
		t.Error(err)
	}
	if err := checkSet("7", online+"-not"); err != nil {
		t.Errorf("where the host does not say: %v", err)
	}
}
