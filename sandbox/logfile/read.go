package logfile

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/lines"
	"rootlet/internal/linux"
	"rootlet/sandbox/record"
)

// All is a Tail that is the whole log.
const All = -1

// Options say which part of a log is wanted.
type Options struct {
	Tail         int       // the last so many lines; All
	Since, Until time.Time // zero: no limit
}

// Read calls each with every record that is wanted, in order, and returns how
// many records are damaged; those are left out. A container that has written
// nothing has an empty log.
func Read(dir string, o Options, each func(Line) error) (damaged int, err error) {
	r, err := openReader(dir, o)
	if err != nil {
		return 0, err
	}
	defer r.close()
	for {
		if err := r.drain(each); err != nil {
			return r.damaged, err
		}
		if len(r.files) < 2 {
			return r.damaged, nil
		}
		r.next()
	}
}

// Follower is what Follow tells.
type Follower struct {
	Each func(Line) error
	Idle func() error // all that there is has been given; may be nil
	// Up is asked when something has happened to the container: does it live?
	// released says that somebody has closed its lock.
	Up func(released bool) bool
}

// Follow is Read, and goes on with what is written, until the container is no
// longer up, ctx is done, or a function of f's fails. It is woken by the kernel:
// for what is written, and for the lock that a monitor lets go of however it
// ends. No record is lost, and none comes twice, as long as the reader is not
// slower than the log is long.
func Follow(ctx context.Context, dir string, o Options, f Follower) (damaged int, err error) {
	const interest = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF
	watch, err := linux.WatchDir(dir, interest)
	if err != nil {
		return 0, err
	}
	defer watch.Close()
	r, err := openReader(dir, o)
	if err != nil {
		return 0, err
	}
	defer r.close()
	for up := f.Up(false); ; {
		// Before what is there is read to its end: what a container has written
		// in its life is all in the log when it is not up.
		if err := r.catchUp(f.Each); err != nil {
			return r.damaged, err
		}
		if f.Idle != nil {
			if err := f.Idle(); err != nil {
				return r.damaged, err
			}
		}
		if !up {
			return r.damaged, nil
		}
		life, released := false, false
		err := watch.Wait(ctx, func(what uint32, name string) {
			_, log := number(name)
			life = life || !log // its lock, its state, or all of it
			released = released || record.LockClosed(what, name)
		})
		if err != nil {
			return r.damaged, err
		}
		if life {
			up = f.Up(released)
		}
	}
}

// reader is a place in the files of a log.
type reader struct {
	dir     *os.Root // and not its path: that of a container on its way out changes
	options Options
	files   snapshot // the first is being read
	lines   *lines.Reader
	damaged int
}

func openReader(dir string, o Options) (*reader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	r := &reader{dir: root, options: o}
	if r.files, err = openAll(root); err == nil && o.Tail >= 0 && len(r.files) > 0 {
		r.files, err = tail(r.files, o.Tail)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.begin()
	return r, nil
}

func (r *reader) close() {
	r.files.close()
	r.dir.Close()
}

// begin begins to read the first file from where it stands.
func (r *reader) begin() {
	if len(r.files) > 0 {
		r.lines = lines.New(r.files[0], maxRecord)
	}
}

// next goes on to the next file.
func (r *reader) next() {
	r.files[0].Close()
	r.files = r.files[1:]
	r.begin()
}

// drain gives the records up to the end of the file as it is now.
func (r *reader) drain(each func(Line) error) error {
	if len(r.files) == 0 {
		return nil
	}
	for {
		text, err := r.lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(text) == 0 {
			continue // it ended a piece of a record, or nothing
		}
		l, err := decode(text)
		if err != nil {
			r.damaged++
			continue
		}
		if l.Time.Before(r.options.Since) || !r.options.Until.IsZero() && l.Time.After(r.options.Until) {
			continue
		}
		if err := each(l); err != nil {
			return err
		}
	}
}

// catchUp gives what is new, through all files that were begun meanwhile.
func (r *reader) catchUp(each func(Line) error) error {
	for {
		// Looked at before the end is read: nothing is written to a file that has
		// another name by then.
		last := len(r.files) == 1 && isAt(r.dir, 0, r.files[0])
		if err := r.drain(each); err != nil || last {
			return err
		}
		if len(r.files) > 1 {
			r.next()
			continue
		}
		newer, err := openAll(r.dir)
		if err != nil {
			return err
		}
		if len(r.files) == 1 {
			newer = newer.after(r.files[0])
		}
		if len(newer) == 0 {
			return nil // the next is not there yet
		}
		r.files.close()
		r.files = newer
		r.begin()
	}
}
