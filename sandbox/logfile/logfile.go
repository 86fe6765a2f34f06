// Package logfile writes and reads a container's output as Docker's json-file
// driver stores it: one JSON object a line, {"log":"text\n","stream":"stdout",
// "time":"..."}. The monitor writes; any process reads, without a lock.
package logfile

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Name is the file in a container's directory.
const Name = "log"

// Stream is where a line came from.
type Stream string

// The two streams of a program. A terminal has only the first.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Line is one record.
type Line struct {
	Log    string    `json:"log"`
	Stream Stream    `json:"stream"`
	Time   time.Time `json:"time"`
}

// maxLine is where a line without an end is cut, in bytes, as Docker does: the
// record then has no newline, and a reader joins it with the next.
const maxLine = 16 << 10

// Writer appends to a log. It is safe for use by one goroutine a stream.
type Writer struct {
	mu      sync.Mutex
	file    *os.File
	partial map[Stream][]byte // the beginning of a line whose end has not come
	records []byte            // reused from Write to Write
	err     error
	now     func() time.Time
}

// Create opens the log in a container's directory for appending.
func Create(dir string, now func() time.Time) (*Writer, error) {
	f, err := os.OpenFile(filepath.Join(dir, Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{file: f, partial: map[Stream][]byte{}, now: now}, nil
}

// Write records what came from a stream. An error, as of a full disk, stops the
// log and never the container: it is kept, and returned by Close.
func (w *Writer) Write(stream Stream, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	at := stamp(w.now())
	held := data
	if begun := w.partial[stream]; len(begun) > 0 {
		held = append(begun, data...)
	}
	w.records = w.records[:0]
	for len(held) > 0 {
		end := bytes.IndexByte(held, '\n') + 1
		if end == 0 && len(held) < maxLine {
			break
		}
		if end == 0 || end > maxLine {
			end = maxLine
		}
		w.records = appendRecord(w.records, held[:end], stream, at)
		held = held[end:]
	}
	w.partial[stream] = append(w.partial[stream][:0], held...)
	w.flush()
}

func (w *Writer) flush() {
	if len(w.records) > 0 {
		_, w.err = w.file.Write(w.records)
	}
}

// Close writes what had no newline yet and reports the first error of all.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = w.records[:0]
	for _, stream := range []Stream{Stdout, Stderr} {
		if rest := w.partial[stream]; len(rest) > 0 {
			w.records = appendRecord(w.records, rest, stream, stamp(w.now()))
		}
	}
	if w.err == nil {
		w.flush()
	}
	if err := w.file.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}
