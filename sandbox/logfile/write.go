package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"rootlet/sandbox/record"
)

// Writer appends to a log. It is safe for use by one goroutine a stream.
type Writer struct {
	mu      sync.Mutex
	files   files
	none    bool              // nothing is kept
	partial map[Stream][]byte // the beginning of a line whose end has not come
	records []byte            // those that are to be written next
	now     func() time.Time
	loss    loss
}

// loss is what a disk that was full, or broken, has not taken.
type loss struct {
	first error     // of all; reported by Close
	since int64     // bytes of output, since the last that was written
	total int64     // bytes of output
	retry time.Time // until then the disk is left alone
}

// retryAfter is how long a disk that has refused a record is left alone. To ask
// a full one may take it long, and would hold the program up.
const retryAfter = 200 * time.Millisecond

// Pending is what a Writer knows and its files do not: with it, another process
// can go on where the one before has left off.
type Pending struct {
	Partial map[Stream][]byte `json:"partial,omitempty"`
	Gap     int64             `json:"gap,omitempty"`  // bytes of output that are missing where it goes on
	Lost    int64             `json:"lost,omitempty"` // and in all
	Error   string            `json:"error,omitempty"`
}

// Create opens the log in a container's directory for appending.
func Create(dir string, c record.Log, now func() time.Time) (*Writer, error) {
	return Resume(dir, c, now, Pending{})
}

// Resume is Create by a process that goes on for another: see Suspend.
func Resume(dir string, c record.Log, now func() time.Time, p Pending) (*Writer, error) {
	w := &Writer{none: c.Driver == record.LogNone, partial: p.Partial, now: now}
	if w.partial == nil {
		w.partial = map[Stream][]byte{}
	}
	if p.Error != "" {
		w.loss = loss{first: errors.New(p.Error), since: p.Gap, total: p.Lost}
	}
	w.files = files{dir: dir, maxSize: c.MaxSize, maxFiles: max(c.MaxFiles, 1)}
	if w.none {
		return w, nil
	}
	return w, w.files.open()
}

// Write records what came from a stream. An error, as of a full disk, stops the
// log and never the container: once there is space again the log goes on, with a
// record that says how much is missing.
func (w *Writer) Write(stream Stream, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.none {
		return
	}
	at := stamp(w.now())
	held := data
	if begun := w.partial[stream]; len(begun) > 0 {
		held = append(begun, data...)
	}
	written := 0 // of held, since the last flush
	for len(held) > 0 {
		end := bytes.IndexByte(held, '\n') + 1
		if end == 0 && len(held) < maxLine {
			break
		}
		if end == 0 || end > maxLine {
			end = wholeRunes(held[:maxLine])
		}
		before := len(w.records)
		w.records = appendRecord(w.records, held[:end], stream, at)
		if before > 0 && w.files.full(len(w.records)) {
			// This one is the first of the next file.
			next := append([]byte(nil), w.records[before:]...)
			w.records = w.records[:before]
			w.flush(written)
			w.records, written = append(w.records, next...), 0
		}
		written += end
		held = held[end:]
	}
	w.partial[stream] = append(w.partial[stream][:0], held...)
	w.flush(written)
}

// Remark records a line of rootlet's own on standard error, between those of the
// program.
func (w *Writer) Remark(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.none {
		return
	}
	w.records = appendRecord(w.records[:0], []byte("rootlet: "+text+"\n"), Stderr, stamp(w.now()))
	w.flush(0)
}

// wholeRunes is the length of b without a character of which only the beginning
// is in it.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// flush writes the records, which hold so many bytes of output.
func (w *Writer) flush(output int) {
	if len(w.records) == 0 {
		return
	}
	err := w.fillGap()
	if err == nil {
		err = w.files.write(w.records)
	}
	if err != nil {
		w.lose(output, err)
	}
	w.records = w.records[:0]
}

// errEarly says that the disk is left alone still.
var errEarly = errors.New("the disk has just refused a record")

// fillGap writes how much is missing, where something is.
func (w *Writer) fillGap() error {
	if w.loss.since == 0 {
		return nil
	}
	now := w.now()
	if wait := w.loss.retry.Sub(now); wait > 0 && wait <= retryAfter { // longer: the clock was turned back
		return errEarly
	}
	text := fmt.Sprintf("rootlet: %d bytes of output are missing here: %v\n", w.loss.since, w.loss.first)
	if err := w.files.write(appendRecord(nil, []byte(text), Stderr, stamp(now))); err != nil {
		return err
	}
	w.loss.since = 0
	return nil
}

// lose counts output that was not written.
func (w *Writer) lose(output int, err error) {
	w.loss.since += int64(output)
	w.loss.total += int64(output)
	if errors.Is(err, errEarly) {
		return
	}
	w.loss.retry = w.now().Add(retryAfter)
	if w.loss.first == nil {
		w.loss.first = err
	}
}

// Suspend closes the log without an end to lines that have none yet. Whoever
// takes over, as after an exec, gives what it returns to Resume.
func (w *Writer) Suspend() (Pending, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := Pending{Partial: w.partial, Gap: w.loss.since, Lost: w.loss.total}
	if w.loss.first != nil {
		p.Error = w.loss.first.Error()
	}
	return p, w.files.close()
}

// Close writes what had no newline yet, and reports what was lost.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss.retry = time.Time{}
	for _, stream := range []Stream{Stdout, Stderr} {
		if rest := w.partial[stream]; len(rest) > 0 {
			w.records = appendRecord(w.records[:0], rest, stream, stamp(w.now()))
			w.flush(len(rest))
		}
	}
	_ = w.fillGap() // what is missing is in the error, too
	err := w.files.close()
	if w.loss.first != nil {
		return fmt.Errorf("%d bytes of output are missing: %w", w.loss.total, w.loss.first)
	}
	return err
}
