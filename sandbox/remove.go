package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// ErrNotRunning says that there is no program to signal.
var ErrNotRunning = errors.New("container is not running")

// endWait is how long a monitor may take to let go of a container whose program
// has ended.
const endWait = 10 * time.Second

// Kill signals the program of a running container.
func Kill(root record.Root, id string, signal unix.Signal) error {
	state, err := root.Live(id)
	if err != nil {
		return err
	}
	if state.Status != record.Running {
		return ErrNotRunning
	}
	// The descriptor is opened before the state is looked at again: a pid that
	// was the container's then is the one that the descriptor stands for.
	pidfd, err := unix.PidfdOpen(state.PID, 0)
	if err != nil {
		return ErrNotRunning
	}
	defer unix.Close(pidfd)
	again, err := root.Live(id)
	if err != nil || again.Status != record.Running || again.PID != state.PID {
		return errors.Join(ErrNotRunning, err)
	}
	if err := unix.PidfdSendSignal(pidfd, signal, nil, 0); err != nil {
		return fmt.Errorf("signal container: %w", err)
	}
	return nil
}

// End kills a running container, or one that is about to run, and waits until
// its monitor has let go of it. It is called in the host's user namespace: there
// the user owns U1, and may signal whatever id the program has.
func End(root record.Root, id string) error {
	for deadline := time.Now().Add(endWait); root.Alive(id); time.Sleep(2 * time.Millisecond) {
		if err := Kill(root, id, unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("container %s: killed, and not gone after %v", id[:12], endWait)
		}
	}
	return nil
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
	c, err := openEnded(root, id)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // it removed itself meanwhile (--rm)
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	m := monitor{container: c}
	m.Paths = paths
	spec, specErr := root.Spec(id)
	if specErr != nil {
		spec.ID = id // what cannot be read can be removed; its volumes stay
	} else if o.Volumes {
		m.Spec = spec
	}
	if o.Measure {
		size, _ = fuseoverlay.Written(c.Dir, filepath.Join(c.Dir, "spec.json"))
	}
	if err := m.remove(); err != nil {
		return 0, err
	}
	_ = events.Append(paths.Data, events.Of(&spec, "destroy"))
	return size, nil
}

// BusyError refuses to remove a container under its program.
type BusyError struct{ Status record.Status }

func (e *BusyError) Error() string {
	return fmt.Sprintf("container is %s: stop the container before removing or force remove", e.Status)
}

// openEnded takes the lock of a container that has ended, or is about to.
func openEnded(root record.Root, id string) (*record.Container, error) {
	for deadline := time.Now().Add(endWait); ; time.Sleep(2 * time.Millisecond) {
		c, err := root.Open(id)
		if !errors.Is(err, record.ErrAlive) {
			return c, err
		}
		state, stateErr := root.Live(id)
		busy := stateErr == nil && (state.Status == record.Restarting || state.Status.Up() && !dying(state))
		if busy {
			return nil, &BusyError{state.Status}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w, and not gone after %v", err, endWait)
		}
	}
}

// dying reports whether the program of a container is gone, or is a zombie.
func dying(s record.State) bool {
	pidfd, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		return true
	}
	defer unix.Close(pidfd)
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1
}

// Sweep deletes what removals that died have left behind. It is called in U1.
func Sweep(paths Paths) error {
	errs := []error{volume.In(paths.Data).Sweep()}
	for _, dir := range record.Root(paths.Data).Removed() {
		errs = append(errs, fuseoverlay.RemoveTree(dir))
	}
	return errors.Join(errs...)
}
