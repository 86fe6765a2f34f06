package events

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The files in the data directory: what happens now, and what happened before.
const (
	current = "events"
	before  = "events.1"
)

// maxSize is where a new file is begun; of the older ones one is kept.
const maxSize = 1 << 20

// turnWait is how long Append waits for its turn. Tests change it.
var turnWait = 50 * time.Millisecond

// Append writes an event down. Any process of the user's may, at any time: the
// line is written whole and at the end (O_APPEND, open(2)). A file is renamed
// only when nobody is about to write to it, and nobody writes to one that has
// been renamed, so that a reader who has come to the end of it may leave it.
func Append(dataDir string, e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	line, err := e.line()
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	path := filepath.Join(dataDir, current)
	f, err := openForWriting(path)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	defer f.Close() // and lets go of the lock
	if _, err = f.Write(line); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Size() > maxSize {
		return rotate(path, filepath.Join(dataDir, before), f)
	}
	return nil
}

// openForWriting opens the file that has the name now, and takes a lock on it
// that others may share, but not with the one who renames it.
func openForWriting(path string) (*os.File, error) {
	for deadline := time.Now().Add(turnWait); ; time.Sleep(time.Millisecond) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		shared := unix.Flock_t{Type: unix.F_RDLCK}
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &shared)
		// Who holds everyone up may be stopped (SIGSTOP): an event in the wrong
		// file is better than none.
		if err == nil && has(path, f) || time.Now().After(deadline) {
			return f, nil
		}
		f.Close()
	}
}

// has reports whether path is the file f.
func has(path string, f *os.File) bool {
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(there, open)
}

// rotate moves f, which this process has locked, out of the way. Where another
// is writing too, that one will do it.
func rotate(path, aside string, f *os.File) error {
	alone := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &alone)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) || err == nil && !has(path, f) {
		return nil
	}
	if err == nil {
		err = os.Rename(path, aside)
	}
	if err != nil {
		return fmt.Errorf("event: begin a new file: %w", err)
	}
	return nil
}
