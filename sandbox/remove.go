package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// ErrNotRunning says that there is no program to signal.
var ErrNotRunning = errors.New("container is not running")

// endWait is how long a monitor may take to let go of a container whose program
// has ended.
const endWait = 10 * time.Second

// End kills a running container, or one that is about to run, and waits until its
// monitor has let go of it. A monitor that does not answer is killed itself, and
// takes the container along.
func End(p Paths, id string) error {
	root := record.Root(p.Data)
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	for root.Alive(id) {
		err := tell(p, id, ask{Verb: verbKill, Signal: "KILL", Final: true})
		told := err == nil
		if err != nil && !errors.Is(err, ErrNotRunning) {
			err = killMonitor(root, id)
		}
		if err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
		_, err = root.WaitFor(ctx, id, func(s record.State, alive bool) bool {
			return !alive || !told && s.Status.Up() // it has just begun
		})
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("container %s: killed, and not gone after %v", id[:12], endWait)
		case err != nil:
			return err
		}
	}
	return nil
}

// killMonitor kills the parent of a container's first process. It is called in
// the host's user namespace, where the user owns U1 and may signal all in it.
func killMonitor(root record.Root, id string) error {
	state, err := root.Live(id)
	if err != nil {
		return err
	}
	first, err := unix.PidfdOpen(state.PID, 0)
	if !state.Status.Up() || err != nil {
		return ErrNotRunning
	}
	defer unix.Close(first)
	parent := parentOf(state.PID)
	monitor, err := unix.PidfdOpen(parent, 0)
	if err != nil {
		return ErrNotRunning
	}
	defer unix.Close(monitor)
	// Both numbers meant what they should if the container lives still, now that
	// descriptors stand for them.
	again, err := root.Live(id)
	if err != nil || again.PID != state.PID || parentOf(state.PID) != parent || hasEnded(first) {
		return errors.Join(ErrNotRunning, err)
	}
	if err := unix.PidfdSendSignal(monitor, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("kill the monitor of container %s: %w", id[:12], err)
	}
	return nil
}

// parentOf is the parent of a process, 0 where there is no such process.
func parentOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text[max(0, bytes.LastIndexByte(text, ')')):]), " ")
	fields := strings.Fields(after)
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// RemoveOptions say how a container is removed.
type RemoveOptions struct {
	Volumes bool // its anonymous volumes, too
	Measure bool // say what it had written
}

// Remove deletes a container that does not run: its name first, its files last,
// and returns how many bytes it had written, where that is asked for. It is
// called in U1, as the files belong to many ids. It returns a *BusyError where
// the container is up; one whose program has ended is waited for until its
// monitor has let go.
func Remove(paths Paths, id string, o RemoveOptions) (size int64, err error) {
	root := record.Root(paths.Data)
	c, err := OpenEnded(root, id)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // it removed itself meanwhile (--rm)
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	failpoint.At("remove locked")
	m := monitor{container: c}
	m.Paths = paths
	if last, err := root.Last(id); err == nil {
		removeLeftCgroup(last, id)
	}
	spec, specErr := root.Spec(id)
	if specErr != nil {
		spec.ID = id // what cannot be read can be removed; its volumes stay
	} else if o.Volumes {
		m.Spec = spec
	}
	if o.Measure {
		size, _ = fuseoverlay.Written(c.Dir)
	}
	if err := m.remove(); err != nil {
		return 0, err
	}
	failpoint.At("remove removed")
	_ = events.Append(paths.Data, events.Of(&spec, "destroy"))
	return size, nil
}

// BusyError refuses to remove a container under its program.
type BusyError struct{ Status record.Status }

func (e *BusyError) Error() string {
	return fmt.Sprintf("container is %s: stop the container before removing or force remove", e.Status)
}
func (e *BusyError) Unwrap() error { return record.ErrAlive }

// OpenEnded takes the lock of a container that has ended, or is about to. It returns a
// *BusyError where it is up.
func OpenEnded(root record.Root, id string) (*record.Container, error) {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	for {
		c, err := root.Open(id)
		if !errors.Is(err, record.ErrAlive) {
			return c, err
		}
		isUp := func(s record.State) bool {
			return s.Status == record.Restarting || s.Status.Up() && !dying(s)
		}
		state, err := root.WaitFor(ctx, id, func(s record.State, alive bool) bool { return !alive || isUp(s) })
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return nil, fmt.Errorf("container is being started, or another command works in its files: not free after %v", endWait)
		case err != nil:
			return nil, err
		case isUp(state) && root.Alive(id):
			return nil, &BusyError{state.Status}
		}
	}
}

// dying reports whether the program of a container is gone, or is a zombie. It asks
// /proc, which numbers processes as the record does; a monitor cannot open a
// descriptor by such a number.
func dying(s record.State) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID))
	after := text[bytes.LastIndexByte(text, ')')+1:]
	return err != nil || bytes.HasPrefix(after, []byte(" Z")) || bytes.HasPrefix(after, []byte(" X"))
}

// hasEnded reports whether the process of a descriptor has ended.
func hasEnded(pidfd int) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1
}

// Sweep deletes what processes that died have left behind, which no command
// shows: containers half made or half removed. It is called in U1.
func Sweep(paths Paths) error {
	root := record.Root(paths.Data)
	var errs []error
	for _, id := range root.Unfinished() {
		errs = append(errs, sweepUnfinished(paths, id))
	}
	errs = append(errs, volume.In(paths.Data).Sweep(), root.SweepNames())
	sweepCgroups(root)
	for _, dir := range root.Removed() {
		errs = append(errs, removeTied(paths, dir), removeFiles(dir))
	}
	return errors.Join(errs...)
}

// sweepUnfinished removes a container that was never whole, with the volumes that
// were made for it alone.
func sweepUnfinished(paths Paths, id string) error {
	c, err := record.Root(paths.Data).Open(id)
	if errors.Is(err, record.ErrAlive) || errors.Is(err, fs.ErrNotExist) {
		return nil // another sweep is at it
	}
	if err != nil {
		return err
	}
	defer c.Close()
	m := monitor{container: c}
	m.Paths = paths
	return errors.Join(removeTied(paths, c.Dir), m.remove())
}
