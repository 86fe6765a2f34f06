package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

const mib = 1 << 20

// host is a /proc that a test writes. The monitor is process 1 of it.
type host struct {
	t   *testing.T
	dir string
}

func newHost(t *testing.T) host {
	h := host{t, t.TempDir()}
	h.namespace("self", "own")
	h.process(1, "own", 900*mib, 900*mib, 0)
	h.write("meminfo", "MemTotal: 8 kB\nShmem:  1024 kB\n")
	return h
}

func (h host) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h host) namespace(dir, id string) {
	h.t.Helper()
	path := filepath.Join(h.dir, dir, "ns")
	if err := os.MkdirAll(path, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Symlink(id, filepath.Join(path, "pid")); err != nil && !os.IsExist(err) {
		h.t.Fatal(err)
	}
}

// process writes one with so much memory, in bytes.
func (h host) process(pid int, namespace string, resident, anonymous, shmem int64) {
	dir := strconv.Itoa(pid)
	h.namespace(dir, namespace)
	h.memory(dir, resident, anonymous, shmem)
	h.write(dir+"/task/"+dir+"/stat", "")
}

func (h host) memory(dir string, resident, anonymous, shmem int64) {
	h.write(dir+"/statm", fmt.Sprintf("100000 %d 5 1 0 9 0\n", resident/int64(os.Getpagesize())))
	h.write(dir+"/smaps_rollup", fmt.Sprintf("0-1 ---p 0 00:00 0 [rollup]\nRss: 7 kB\nPss: 7 kB\nPss_Anon: %d kB\nPss_File: 100000 kB\nPss_Shmem: %d kB\n", anonymous/1024, shmem/1024))
}

func (h host) processes() *Processes {
	h.t.Helper()
	dir, err := os.Open(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := within(dir, h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { p.Close() })
	return p
}

func pidsOf(v Verdict) []int {
	var pids []int
	for _, process := range v.Kill {
		pids = append(pids, process.PID)
	}
	return pids
}

func TestTheLargestAreKilled(t *testing.T) {
	h := newHost(t)
	p, m := h.processes(), Memory{Limit: 100 * mib}
	look := func(what string, at time.Duration, want ...int) {
		t.Helper()
		v, err := m.Look(p, at)
		if err != nil || v.All || !slices.Equal(pidsOf(v), want) {
			t.Errorf("%s: %+v, %v; want %v", what, v, err, want)
		}
	}
	h.process(11, "its", 40*mib, 40*mib, 0)
	h.process(12, "its", 30*mib, 30*mib, 0)
	look("within the limit", 1*time.Second)
	if m.Estimate() != 70*mib {
		t.Errorf("estimate %d", m.Estimate())
	}
	// A program file, and what two share, are no memory of theirs.
	h.process(11, "its", 90*mib, 30*mib, 0)
	h.process(12, "its", 90*mib, 30*mib, 0)
	look("shared", 2*time.Second)
	// One goes beyond, and is killed; while it ends it does not count.
	h.process(13, "its", 60*mib, 60*mib, 0)
	look("one too many", 3*time.Second, 13)
	look("it is about to end", 3*time.Second+50*time.Millisecond)
	look("it has not ended", 3*time.Second+2*dies, 13)
	// One is not enough.
	h.process(11, "its", 200*mib, 200*mib, 0)
	h.process(12, "its", 150*mib, 0, 150*mib)
	h.process(13, "its", 0, 0, 0)
	look("two at once", 6*time.Second, 11, 12)
}

func TestAProcessWithoutItsFirstThreadCounts(t *testing.T) {
	h := newHost(t)
	h.write("20/statm", "0 0 0 0 0 0 0\n") // as one that has ended: no namespace, no memory
	h.namespace("20/task/21", "its")
	h.memory("20/task/21", 200*mib, 200*mib, 0)
	m := Memory{Limit: 100 * mib}
	if v, err := m.Look(h.processes(), time.Second); err != nil || !slices.Equal(pidsOf(v), []int{20}) {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestASwarmIsKilledWhole(t *testing.T) {
	h := newHost(t)
	m := Memory{Limit: 10 * mib}
	p := h.processes()
	for i := range maxStrikes + 1 {
		h.process(100+i, "its", 20*mib, 20*mib, 0)
		v, err := m.Look(p, time.Second+time.Duration(i)*time.Millisecond)
		if err != nil || v.All != (i == maxStrikes) {
			t.Errorf("look %d: %+v, %v", i, v, err)
		}
	}
}

// TestPagesThatAreNoLongerShared has the sum stay the same while each gets its own.
func TestPagesThatAreNoLongerShared(t *testing.T) {
	h := newHost(t)
	m, p := Memory{Limit: 100 * mib}, h.processes()
	h.process(11, "its", 90*mib, 45*mib, 0)
	h.process(12, "its", 90*mib, 45*mib, 0)
	if v, err := m.Look(p, time.Second); err != nil || v.Kill != nil {
		t.Fatalf("%+v, %v", v, err)
	}
	h.process(11, "its", 90*mib, 90*mib, 0)
	if v, err := m.Look(p, time.Minute); err != nil || !slices.Equal(pidsOf(v), []int{11}) {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestFilesWithoutAName are looked for when the host has more memory in files.
func TestFilesWithoutAName(t *testing.T) {
	h := newHost(t)
	h.process(11, "its", 1*mib, 1*mib, 0)
	m, p := Memory{Limit: 100 * mib}, h.processes()
	if v, err := m.Look(p, time.Second); err != nil || v.All {
		t.Fatalf("%+v, %v", v, err)
	}
	file := memfd(t, 101*mib)
	if err := os.MkdirAll(filepath.Join(h.dir, "11/fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), filepath.Join(h.dir, "11/fd/3")); err != nil {
		t.Fatal(err)
	}
	h.write("meminfo", fmt.Sprintf("Shmem: %d kB\n", 200*1024))
	if v, err := m.Look(p, 2*time.Second); err != nil || !v.All {
		t.Errorf("%+v, %v; lent %d", v, err, m.lent)
	}
}

func TestHowSoonToLookAtMemory(t *testing.T) {
	m := Memory{Limit: 1 << 30}
	for _, test := range []struct {
		takes       int64
		moved, cost time.Duration
		want        time.Duration
	}{
		{0, 0, 0, 250 * time.Millisecond},
		{0, time.Second, 0, 250 * time.Millisecond},
		{1<<30 - mib, 0, 0, quietSoonest},
		{1<<30 - mib, time.Second, 0, memorySoonest},
		{2 << 30, time.Second, 0, memorySoonest},
		{2 << 30, time.Second, time.Millisecond, busyShare * time.Millisecond},
		{2 << 30, 0, time.Millisecond, quietShare * time.Millisecond},
		{2 << 30, 0, time.Second, memoryLatest},
	} {
		m.estimate, m.moved, m.cost = test.takes, test.moved, test.cost
		if got := m.Wait(time.Second + settles/2); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
