package sandbox

import (
	"math"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/sandbox/record"
)

// ending is what a user wants of a program's end.
type ending struct {
	asked   bool        // he wants it: no restart policy counts
	again   bool        // and to have it started anew
	down    bool        // he does not: the session ends, and unless-stopped counts that as no stop
	stopped bool        // by stop or restart, and not by a signal alone
	timer   *time.Timer // runs until it is killed
}

// forGood reports whether the user wants the program ended, and not started again.
func (e ending) forGood() bool { return e.asked && !e.again && !e.down }

// late fires when the program has had its time to end.
func (e ending) late() <-chan time.Time {
	if e.timer == nil {
		return nil
	}
	return e.timer.C
}

// Docker's delays between two restarts (moby, restartmanager).
const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = time.Minute
	// longLife is how long a program runs for its next restart to be as quick as
	// the first.
	longLife = 10 * time.Second
)

// stopTimeout is how long a program has to end after it was told to, where
// nobody says otherwise.
const stopTimeout = 10

// stop tells the program to end, and has it killed when it does not. again has it
// started anew afterwards.
func (m *monitor) stop(a ask) error {
	signal, err := m.stopSignal(a.Signal)
	if err != nil {
		return err
	}
	m.ending.asked, m.ending.again, m.ending.down, m.ending.stopped = true, a.Verb == verbRestart, a.Down, true
	m.state.Stopped = m.ending.forGood()
	if !m.state.Status.Up() {
		return nil // between two lives: rest ends
	}
	m.writeState(false)
	m.happened("kill", "signal", strconv.Itoa(int(signal)))
	failpoint.At("restart before the signal")
	m.deliver(int(signal))
	failpoint.At("restart signalled")
	if m.state.Status == record.Paused {
		if err := m.unpause(); err != nil {
			return err
		}
	}
	if seconds := m.stopSeconds(a.Timeout); seconds >= 0 {
		m.ending.timer = time.NewTimer(time.Duration(min(seconds, math.MaxInt32)) * time.Second)
	}
	return nil
}

func (m *monitor) stopSeconds(asked *int) int {
	switch {
	case asked != nil:
		return *asked
	case m.Spec.StopTimeout != nil:
		return *m.Spec.StopTimeout
	}
	return stopTimeout
}

// stopSignal is the one that was asked for, the container's own, or SIGTERM.
func (m *monitor) stopSignal(asked string) (unix.Signal, error) {
	for _, text := range []string{asked, m.Spec.StopSignal} {
		if text != "" {
			return ParseSignal(text)
		}
	}
	return unix.SIGTERM, nil
}

// signalled delivers a signal that a user sent. One that is meant to end the
// program ends it for good: what a user ends is not started again behind his back.
func (m *monitor) signalled(n int) {
	own, _ := m.stopSignal("")
	switch signal := unix.Signal(n); signal {
	case unix.SIGKILL, unix.SIGTERM, unix.SIGINT, own:
		m.ending.asked, m.ending.again, m.state.Stopped = true, false, true
	}
	m.happened("kill", "signal", strconv.Itoa(n))
	m.deliver(n)
}

// ended decides whether a program that has ended with status is started again,
// and after what time.
func (m *monitor) ended(status int) (again bool, wait time.Duration) {
	lived := m.age()
	m.noteEnd(status)
	e := m.ending
	m.ending = ending{}
	if e.stopped {
		m.happened("stop")
	}
	if e.asked {
		m.state.Stopped = e.forGood()
		if e.again {
			m.restarts(0)
		}
		return e.again, 0
	}
	spec, err := record.Root(m.Paths.Data).Spec(m.container.ID)
	if err != nil || m.doom != nil || !wantsRestart(spec.Restart, status, m.state.Restarts) {
		return false, 0
	}
	m.Spec.Restart, m.Spec.Name = spec.Restart, spec.Name
	if lived >= longLife || m.delay == 0 {
		m.delay = firstDelay
	} else {
		m.delay = min(2*m.delay, lastDelay)
	}
	m.restarts(1)
	return true, m.delay
}

// wantsRestart is the policy.
func wantsRestart(r record.Restart, status, restarts int) bool {
	switch r.Policy {
	case record.RestartAlways, record.RestartUnlessStopped:
		return true
	case record.RestartOnFailure:
		return status != 0 && (r.Retries == 0 || restarts < r.Retries)
	}
	return false
}

// restarts writes down that the program will be started again, and lets go of
// those who came for this life of it.
func (m *monitor) restarts(more int) {
	m.state.Restarts += more
	m.state.Status = record.Restarting
	m.writeState(false)
	failpoint.At("restart recorded")
	m.audience.dismiss(kindExited, []byte{byte(m.state.ExitCode)})
}
