package record

import (
	"context"
	"io/fs"
	"time"

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
		closed := false
		err = watch.Wait(ctx, func(what uint32, name string) { closed = closed || LockClosed(what, name) })
		if err != nil {
			return s, err
		}
		if closed {
			r.AwaitRelease(id)
		}
	}
}

// lockFile is the file in a container's directory that its monitor holds the lock of.
const lockFile = "lock"

// LockClosed reports whether an event among Changes says that somebody has closed a
// container's lock: its monitor, at its end, or one who found it taken.
func LockClosed(what uint32, name string) bool {
	return what&unix.IN_CLOSE_WRITE != 0 && name == lockFile
}

// AwaitRelease gives the kernel time to drop the lock of a file that it has told to
// be closed: inotify hears of it first (fs/file_table.c, __fput), and there is no
// later word. A lock that stays is another's.
func (r Root) AwaitRelease(id string) {
	for wait := time.Millisecond; wait < releaseWait && r.Alive(id); wait *= 2 {
		time.Sleep(wait)
	}
}

// releaseWait is half of the time that the kernel gets, which takes microseconds
// unless it is interrupted.
const releaseWait = 300 * time.Millisecond
