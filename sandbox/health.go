package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// You come here from life.go: the monitor asks the program's own question, in its
// container, whether it is well. No timer of systemd's is needed for that.

// Docker's values where a health check names none (moby, daemon/health.go).
const (
	probeInterval      = 30 * time.Second
	probeTimeout       = 30 * time.Second
	probeStartInterval = 5 * time.Second
	probeRetries       = 3

	longestWait = 100 * 365 * 24 * time.Hour // until a probe: as good as never

	maxProbeOutput = 4096 // bytes
	keptProbes     = 5
)

// health is the monitor's side of health checks.
type health struct {
	check *record.HealthCheck // nil: there is none
	timer *time.Timer         // until the next probe; nil while one runs
	due   time.Duration       // when it fires, by the clock of sinceBoot
	stop  context.CancelFunc  // of the probe that runs
}

// sinceBoot is a clock that goes on over a sleep of the monitor's and that nobody
// sets: clock_gettime(2)'s CLOCK_MONOTONIC.
func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it is always there
	return time.Duration(t.Nano())
}

// age is how long this life of the program has lasted.
func (m *monitor) age() time.Duration { return sinceBoot() - m.began }

// checkOf is the health check that a container has: nil where there is none, or
// where the test is NONE. An image may have written any number into it.
func checkOf(h *record.HealthCheck) *record.HealthCheck {
	if h == nil || len(h.Test) < 2 || h.Test[0] == "NONE" {
		return nil
	}
	c := *h
	atLeast(&c.Interval, time.Millisecond, probeInterval)
	atLeast(&c.Timeout, time.Millisecond, probeTimeout)
	atLeast(&c.StartInterval, time.Millisecond, probeStartInterval)
	atLeast(&c.Retries, 1, probeRetries)
	// The clock and this together are a number still.
	c.Interval, c.StartInterval = min(c.Interval, longestWait), min(c.StartInterval, longestWait)
	return &c
}

// atLeast sets v to its default where it is less than makes sense.
func atLeast[T cmp.Ordered](v *T, least, byDefault T) {
	if *v < least {
		*v = byDefault
	}
}

// beginHealth starts the checks of a program that has just begun.
func (m *monitor) beginHealth() {
	m.health = health{check: checkOf(m.Spec.Health)}
	m.state.Health = nil
	if m.health.check != nil {
		m.state.Health = &record.Health{Status: record.HealthStarting}
		m.health.next(m.state, m.age())
	}
}

// endHealth ends the checks with the program.
func (m *monitor) endHealth() {
	if m.health.timer != nil {
		m.health.timer.Stop()
	}
	if m.health.stop != nil {
		m.health.stop()
	}
	m.health = health{}
	if m.state.Health != nil {
		m.state.Health.Status = record.Unhealthy
	}
}

// next sets the timer for the next probe: sooner while the program starts.
func (h *health) next(s record.State, age time.Duration) {
	wait := h.check.Interval
	if s.Health.Status == record.HealthStarting && age < h.check.StartPeriod {
		wait = min(wait, h.check.StartInterval)
	}
	h.in(wait)
}

func (h *health) in(d time.Duration) {
	h.timer, h.due = time.NewTimer(d), sinceBoot()+d
}

// fires is when a probe is to be made; nil, which blocks, while there is none.
func (h *health) fires() <-chan time.Time {
	if h.timer == nil {
		return nil
	}
	return h.timer.C
}

// busy reports whether a probe runs.
func (h *health) busy() bool { return h.stop != nil }

// alarm is when the monitor has to wake up for a probe; 0: never.
func (h *health) alarm() time.Duration {
	if h.timer == nil {
		return 0
	}
	return h.due
}

// resume goes on after a sleep.
func (h *health) resume(check *record.HealthCheck, due time.Duration) {
	if h.check = checkOf(check); h.check != nil {
		h.in(max(due-sinceBoot(), 0))
	}
}

// probe makes one check, beside all that the monitor does.
func (m *monitor) probe() {
	m.health.timer = nil
	if m.state.Status != record.Running {
		m.health.next(m.state, m.age()) // a paused program cannot answer
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.health.stop = cancel
	fd, err := unix.FcntlInt(uintptr(m.pidfd), unix.F_DUPFD_CLOEXEC, 0) // which is there: the program runs
	if err != nil {
		fd = -1
	}
	p := prober{spec: m.Spec, state: m.state, check: *m.health.check, pidfd: fd}
	go func() {
		result := p.probe(ctx)
		m.turn(func() { m.probed(p.state.Started, result) })
	}()
}

// probed counts what a probe has found, unless the program that it was made of
// has ended meanwhile.
func (m *monitor) probed(life time.Time, p record.Probe) {
	if !m.state.Started.Equal(life) || m.health.stop == nil {
		return
	}
	m.health.stop()
	m.health.stop = nil
	before := m.state.Health.Status
	m.state.Health = judge(*m.state.Health, p, *m.health.check, m.age())
	m.writeState(false)
	if now := m.state.Health.Status; now != before {
		m.happened("health_status: " + now)
	}
	m.health.next(m.state, m.age())
}

// judge is what health becomes by one more probe, age after the program began
// (Dockerfile's HEALTHCHECK: failures in the start period count once there was a
// success).
func judge(h record.Health, p record.Probe, check record.HealthCheck, age time.Duration) *record.Health {
	h.Log = append(slices.Clone(h.Log), p)
	h.Log = h.Log[max(0, len(h.Log)-keptProbes):]
	switch {
	case p.ExitCode == 0:
		h.Status, h.FailingStreak = record.Healthy, 0
	case h.Status == record.HealthStarting && age < check.StartPeriod:
	default:
		h.FailingStreak++
		if h.FailingStreak >= check.Retries {
			h.Status = record.Unhealthy
		}
	}
	return &h
}

// prober makes a probe of one life of a program.
type prober struct {
	spec  record.Spec
	state record.State
	check record.HealthCheck
	pidfd int // of the program; the prober's own
}

// failedProbe is the exit code of a probe that could not be made, or took too
// long, as Docker has it.
const failedProbe = -1

// probe runs the test in the container, as exec would.
func (p prober) probe(ctx context.Context) record.Probe {
	result := record.Probe{Start: time.Now(), ExitCode: failedProbe}
	ctx, cancel := context.WithTimeout(ctx, p.check.Timeout)
	defer cancel()
	status, output, err := p.run(ctx)
	result.End, result.Output = time.Now(), output
	switch {
	case ctx.Err() != nil:
		result.Output = fmt.Sprintf("Health check exceeded timeout (%v): %s", p.check.Timeout, output)
	case err != nil:
		result.Output = err.Error()
	default:
		result.ExitCode = status
	}
	return result
}

// words are the test's: a shell's line, or a program and its arguments.
func (p prober) words() []string {
	if p.check.Test[0] == "CMD-SHELL" {
		return append([]string{"/bin/sh", "-c"}, p.check.Test[1:]...)
	}
	return p.check.Test[1:]
}

func (p prober) run(ctx context.Context) (int, string, error) {
	t, err := targetOf(&p.spec, p.state, p.pidfd)
	if err != nil {
		return 0, "", err
	}
	defer t.Close()
	return t.Capture(ctx, ExecRequest{Args: p.words()}, maxProbeOutput)
}
