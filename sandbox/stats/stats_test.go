package stats

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestParseStatWithANameThatPretends(t *testing.T) {
	line := "42 (a) S 1 (b) R 7 42 42 34817 42 4194304 1 2 3 4 100 50 7 3 20 0 5 0 1234 1000 20\n"
	p, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	want := Process{
		PID: 42, PPID: 7, Command: "a) S 1 (b", TTY: 34817, Threads: 5,
		CPU: 1500 * time.Millisecond, Children: 100 * time.Millisecond, Start: 12340 * time.Millisecond,
	}
	if p != want {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
}

func FuzzParseStat(f *testing.F) {
	for _, line := range []string{"", "1 (x) S", "1 ) (", "x (y) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "9 () R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		_, _ = parseStat(line)
	})
}

func TestASampleOfOurselves(t *testing.T) {
	c := Container{PIDs: []int{os.Getpid(), 1 << 30}, InitPID: os.Getpid(), OwnNetwork: true}
	before := Take(c, time.Now())
	if before.Memory == 0 || before.PIDs == 0 {
		t.Fatalf("nothing used: %+v", before)
	}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); { // use some
	}
	if percent := CPUPercent(before, Take(c, time.Now())); percent < 10 || percent > 100*64 {
		t.Errorf("%.2f %% of a processor used by a loop", percent)
	}
	if HostMemory() < 1<<20 {
		t.Errorf("host memory %d", HostMemory())
	}
}

func TestACgroupCountsWhatItHas(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cpu.stat": "usage_usec 2500000\nuser_usec 1\n", "memory.current": "5000\n",
		"memory.stat": "anon 1\ninactive_file 2000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Take(Container{Cgroup: dir}, time.Now())
	if s.CPU != 2500*time.Millisecond || s.Memory != 3000 || s.PIDs != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestCPUPercent(t *testing.T) {
	at := time.Now()
	sample := func(after, used time.Duration) Sample { return Sample{At: at.Add(after), CPU: used} }
	for _, c := range []struct {
		before, now Sample
		want        float64
	}{
		{sample(0, 0), sample(time.Second, time.Second), 100},
		{sample(0, time.Second), sample(2*time.Second, 5*time.Second), 200},
		{sample(0, time.Second), sample(time.Second, 0), 0}, // somebody ended
		{sample(0, 0), sample(0, time.Second), 0},
	} {
		if got := CPUPercent(c.before, c.now); got != c.want {
			t.Errorf("%v to %v: %v, want %v", c.before, c.now, got, c.want)
		}
	}
}
