package events

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/internal/lines"
	"rootlet/internal/linux"
)

// Read calls each with every event that is on record, the oldest first. A line
// that is damaged is left out and hides no other.
func Read(dataDir string, each func(Event) error) error {
	for _, name := range []string{before, current} {
		f, err := os.Open(filepath.Join(dataDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = eachIn(lines.New(f, maxLine), each)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Follow calls each with every event from now on, and with past with those on
// record first, until ctx is done or each returns an error. None is lost and
// none comes twice, as long as the caller keeps up: of two files that were begun
// while it was busy, it sees both.
func Follow(ctx context.Context, dataDir string, past bool, each func(Event) error) error {
	watch, err := linux.WatchDir(dataDir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_FROM)
	if err != nil {
		return err
	}
	defer watch.Close()
	t := &tail{dir: dataDir}
	defer t.close()
	if past {
		err = t.open(before)
	} else if err = t.open(current); err == nil && t.lines != nil {
		_, err = t.file.Seek(0, io.SeekEnd)
	}
	for err == nil {
		if err = t.catchUp(each); err == nil {
			err = watch.Wait(ctx, func(uint32, string) {})
		}
	}
	return err
}

// tail is a reader's place in the files.
type tail struct {
	dir   string
	file  *os.File // nil: none was there yet
	lines *lines.Reader
}

func (t *tail) open(name string) error {
	f, err := os.Open(filepath.Join(t.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	t.close()
	t.file, t.lines = f, lines.New(f, maxLine)
	return nil
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
	}
}

// catchUp reads what is new, through all files that were begun meanwhile.
func (t *tail) catchUp(each func(Event) error) error {
	for {
		// Looked at before the end is read: what was renamed before has no more
		// lines after it.
		last := t.file != nil && has(filepath.Join(t.dir, current), t.file)
		if t.file != nil {
			if err := eachIn(t.lines, each); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		old := t.file
		if err := t.next(); err != nil {
			return err
		}
		if t.file == old {
			return nil // the new file is not there yet
		}
	}
}

// next goes on to the file after this one: that which was renamed last, where
// it is not this one, else the present one.
func (t *tail) next() error {
	if t.file != nil && !has(filepath.Join(t.dir, before), t.file) {
		return t.open(before)
	}
	return t.open(current)
}

// eachIn calls each with the events up to the end as it is now.
func eachIn(l *lines.Reader, each func(Event) error) error {
	for {
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var e Event
		if json.Unmarshal(line, &e) != nil || e.Type == "" || e.Action == "" {
			continue
		}
		if err := each(e); err != nil {
			return err
		}
	}
}
