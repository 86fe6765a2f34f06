package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/sandbox/record"
)

// What can hold a container still, for State.PausedBy.
const (
	pausedByFreezer = "cgroup freezer"
	pausedBySignals = "SIGSTOP"
)

// errPaused and errNotPaused are Docker's words, more or less.
var (
	errPaused    = errors.New("container is already paused")
	errNotPaused = errors.New("container is not paused")
)

// pause holds every process of the container still: by the freezer of its cgroup,
// which no process notices, else by SIGSTOP, which parents inside hear of.
func (m *monitor) pause() error {
	if m.state.Status == record.Paused {
		return errPaused
	}
	failpoint.At("pause begins")
	m.state.PausedBy = pausedBySignals
	var err error
	frozen := m.cgroup != nil && m.cgroup.Freezes()
	if frozen {
		m.state.PausedBy, err = pausedByFreezer, m.cgroup.Freeze(true)
	}
	if err == nil {
		// With a freezer, too: a program of exec's stays in its user's session where
		// the host does not let him move it from there.
		m.held, err = stopAll(m.state, func(pid int) bool { return !frozen || !m.cgroup.Has(pid) })
	}
	if err != nil {
		m.state.PausedBy = ""
		return fmt.Errorf("pause: %w", err)
	}
	failpoint.At("pause holds")
	m.state.Status = record.Paused
	m.writeState(false)
	m.happened("pause")
	return nil
}

// unpause lets them go on; those that had been stopped by somebody else stay so.
func (m *monitor) unpause() error {
	if m.state.Status != record.Paused {
		return errNotPaused
	}
	err := continueAll(m.state, m.held)
	if m.state.PausedBy == pausedByFreezer {
		err = errors.Join(err, m.cgroup.Freeze(false))
	}
	if err != nil {
		return fmt.Errorf("unpause: %w", err)
	}
	m.state.Status, m.state.PausedBy, m.held = record.Running, "", nil
	m.writeState(false)
	m.happened("unpause")
	return nil
}

// stopRounds bounds how long stopAll runs after processes that make new ones.
const stopRounds = 100

// stopAll stops those processes of a container that move, until none is found: one
// that was not stopped yet may have made another meanwhile. It returns those that
// it has stopped; what was stopped before is somebody else's.
func stopAll(of record.State, moves func(pid int) bool) (held []int, err error) {
	seen := map[int]bool{}
	for round := range stopRounds {
		pids, err := Processes(of)
		if err != nil {
			return held, errors.Join(err, continueAll(of, held))
		}
		found := false
		for _, pid := range pids {
			if seen[pid] || !moves(pid) {
				continue
			}
			seen[pid], found = true, true
			if round == 0 && isStopped(pid) {
				continue
			}
			if err := signalMember(of, pid, unix.SIGSTOP); err != nil {
				return held, errors.Join(err, continueAll(of, held))
			}
			held = append(held, pid)
		}
		if !found {
			return held, nil
		}
	}
	return held, errors.Join(errors.New("its processes multiply faster than they can be stopped"), continueAll(of, held))
}

// continueAll lets processes go on that stopAll has stopped.
func continueAll(of record.State, held []int) error {
	var errs []error
	for _, pid := range held {
		errs = append(errs, signalMember(of, pid, unix.SIGCONT))
	}
	return errors.Join(errs...)
}

// signalMember signals a process that was found to be a container's. It is looked at
// again once a descriptor stands for it: its number may have become another's.
func signalMember(of record.State, pid int, signal unix.Signal) error {
	// By /proc's number, which is the host's and not the monitor's own: such a
	// directory stands for its process as a pidfd does (pidfd_send_signal(2)).
	fd, err := unix.Open(fmt.Sprintf("/proc/%d", pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(fd)
	container, err := membersOf(of)
	if err != nil {
		return err
	}
	if !container.has(pid) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}

// isStopped reports whether a process is stopped by a signal: proc_pid_stat(5).
func isStopped(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	after := strings.LastIndex(string(text), ") ")
	return err == nil && after >= 0 && strings.HasPrefix(string(text)[after+2:], "T")
}
