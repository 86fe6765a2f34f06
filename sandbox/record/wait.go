package record

import (
	"context"
	"io/fs"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// Changes is what a container's directory tells of its life: a new state is
// renamed into place, the lock is closed by whoever held it, or by the kernel if
// that one was killed, and a container that is removed moves away.
const Changes = unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF

// WaitFor waits, without looking again and again, until a container is as asked
// for, and returns how it is. done is told its state, and whether its monitor
// lives. The error is fs.ErrNotExist once the container is gone, or ctx's.
func (r Root) WaitFor(ctx context.Context, id string, done func(s State, alive bool) bool) (State, error) {
	watch, err := linux.WatchDir(r.Dir(id), Changes)
	if err != nil {
		return State{}, err
	}
	defer watch.Close()
	for {
		alive := r.Alive(id) // before the state is read, as in read
		s, err := r.state(id, alive)
		if !exists(r.Dir(id)) {
			return s, fs.ErrNotExist
		}
		if err != nil {
			s = State{Status: Dead} // it cannot be read
		}
		if done(s, alive) {
			return s, nil
		}
		if err := watch.Wait(ctx, func(uint32, string) {}); err != nil {
			return s, err
		}
	}
}
