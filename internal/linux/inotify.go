package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Watch hears of changes in one directory (inotify(7)), so that nobody has to
// look again and again.
type Watch struct {
	file *os.File
	buf  [16 << 10]byte
}

// WatchDir begins to watch for the events of mask, as unix.IN_MODIFY, on a
// directory and what is directly in it.
func WatchDir(dir string, mask uint32) (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, &watchLimitError{"fs.inotify.max_user_instances", err}
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &Watch{file: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, dir, mask|unix.IN_ONLYDIR); err != nil {
		w.file.Close()
		if errors.Is(err, unix.ENOSPC) {
			return nil, &watchLimitError{"fs.inotify.max_user_watches", err}
		}
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	return w, nil
}

// Wait sleeps until something has happened since the last Wait, or ctx is done,
// and calls each with what and with the name of the file that it happened to,
// "" for the directory itself. Where the kernel has dropped events, what has
// IN_Q_OVERFLOW: anything may have happened.
func (w *Watch) Wait(ctx context.Context, each func(what uint32, name string)) error {
	if err := w.file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := w.file.Read(w.buf[:])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	for b := w.buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
		what, length := binary.NativeEndian.Uint32(b[4:]), int(binary.NativeEndian.Uint32(b[12:]))
		name := b[unix.SizeofInotifyEvent:][:length]
		each(what, unix.ByteSliceToString(name))
		b = b[unix.SizeofInotifyEvent+length:]
	}
	return nil
}

// Close ends the watch.
func (w *Watch) Close() error { return w.file.Close() }

// watchLimitError is a limit of the host's on inotify, and how to raise it.
type watchLimitError struct {
	sysctl string
	err    error
}

func (e *watchLimitError) Error() string {
	return fmt.Sprintf("inotify: the limit %s of this host is reached: %v", e.sysctl, e.err)
}
func (e *watchLimitError) Unwrap() error { return e.err }

// Hint says what an administrator types.
func (e *watchLimitError) Hint() string { return "sudo sysctl " + e.sysctl + "=8192" }
