package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
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

// Remove deletes a container that does not run: its name first, its files last.
// It is called in U1, as the files belong to many ids. It returns
// record.ErrAlive where the program runs still; one that has ended is waited
// for until its monitor has let go.
func Remove(paths Paths, id string, volumes bool) error {
	root := record.Root(paths.Data)
	c, err := root.Open(id)
	for deadline := time.Now().Add(endWait); errors.Is(err, record.ErrAlive); c, err = root.Open(id) {
		if state, stateErr := root.Live(id); time.Now().After(deadline) || stateErr == nil && state.Status == record.Running && !dying(state) {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it removed itself meanwhile (--rm)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	m := monitor{container: c}
	m.Paths = paths
	if volumes {
		if m.Spec, err = root.Spec(id); err != nil {
			return err
		}
	}
	return m.remove()
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
