package sandbox

import (
	"testing"
	"time"

	"rootlet/sandbox/record"
)

func TestWantsRestart(t *testing.T) {
	for _, c := range []struct {
		policy           string
		retries          int
		status, restarts int
		want             bool
	}{
		{"", 0, 1, 0, false},
		{"no", 0, 1, 0, false},
		{"always", 0, 0, 1000, true},
		{"unless-stopped", 0, 0, 1000, true},
		{"on-failure", 0, 0, 0, false},
		{"on-failure", 0, 1, 1000, true},
		{"on-failure", 3, 1, 2, true},
		{"on-failure", 3, 1, 3, false},
	} {
		if got := wantsRestart(record.Restart{Policy: c.policy, Retries: c.retries}, c.status, c.restarts); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestJudge(t *testing.T) {
	check := record.HealthCheck{Retries: 2, StartPeriod: time.Minute}
	h := &record.Health{Status: record.HealthStarting}
	step := func(code int, age time.Duration, status string, streak int) {
		t.Helper()
		h = judge(*h, record.Probe{ExitCode: code}, check, age)
		if h.Status != status || h.FailingStreak != streak {
			t.Fatalf("%s with a streak of %d, want %s and %d", h.Status, h.FailingStreak, status, streak)
		}
	}
	step(1, time.Second, record.HealthStarting, 0) // does not count yet
	step(1, 2*time.Minute, record.HealthStarting, 1)
	step(0, 2*time.Minute, record.Healthy, 0)
	step(1, 2*time.Minute, record.Healthy, 1)
	step(failedProbe, 2*time.Minute, record.Unhealthy, 2)
	step(1, 2*time.Minute, record.Unhealthy, 3)
	step(0, 2*time.Minute, record.Healthy, 0)
	step(1, time.Second, record.Healthy, 1) // once it was well, failures count
	if len(h.Log) != keptProbes {
		t.Errorf("%d probes are kept", len(h.Log))
	}
}

func TestCheckOfAnImagesNumbers(t *testing.T) {
	for _, none := range []*record.HealthCheck{nil, {}, {Test: []string{"NONE"}}, {Test: []string{"CMD-SHELL"}}} {
		if c := checkOf(none); c != nil {
			t.Errorf("%+v is a check: %+v", none, c)
		}
	}
	c := checkOf(&record.HealthCheck{Test: []string{"CMD", "true"}, Interval: -1, Timeout: 1, Retries: -5})
	if c == nil || c.Interval != probeInterval || c.Timeout != probeTimeout || c.Retries != probeRetries || c.StartInterval != probeStartInterval {
		t.Errorf("got %+v", c)
	}
}
