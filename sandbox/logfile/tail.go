package logfile

import (
	"bytes"
	"io"
	"os"
)

// tail closes the older files of a snapshot, and moves on in the oldest that is
// left, so that what is read from there are the last n lines. It looks at the
// files from their end: of a large log not more is read than is shown.
func tail(s snapshot, n int) (snapshot, error) {
	c := counter{left: n}
	for i := len(s) - 1; i >= 0; i-- {
		at, found, err := c.back(s[i])
		if err != nil {
			return s, err
		}
		if !found && (i > 0 || n > 0) {
			continue
		}
		if _, err := s[i].Seek(at, io.SeekStart); err != nil {
			return s, err
		}
		s[:i].close()
		return s[i:], nil
	}
	return s, nil
}

// counter counts lines backwards.
type counter struct {
	left    int  // lines that are still to be found
	partial bool // a record without a newline was seen, newer than all lines
}

// back looks for the record that the last lines begin with, and returns where in
// f it begins. It is not found where they begin in an older file.
func (c *counter) back(f *os.File) (at int64, found bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	b := backward{f: f, at: info.Size()}
	if err := b.skipTorn(); err != nil {
		return 0, false, err
	}
	for {
		start := b.position() // behind the record that is looked at next
		record, err := b.previous()
		if err == io.EOF {
			return start, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		l, err := decode(record)
		if err != nil || l.Log == "" {
			continue
		}
		ends := l.Log[len(l.Log)-1] == '\n'
		switch {
		case ends && c.left == 0:
			return start, true, nil
		case ends:
			c.left--
			c.partial = true // whatever stands before belongs to it, or ends another
		case !c.partial:
			// The beginning of a line that has no end yet is a line.
			if c.left == 0 {
				return start, true, nil
			}
			c.left--
			c.partial = true
		}
	}
}

// backward reads a file's lines from its end.
type backward struct {
	f    *os.File
	at   int64  // where held begins
	held []byte // read, and not given yet
}

const blockSize = 64 << 10

func (b *backward) position() int64 { return b.at + int64(len(b.held)) }

// skipTorn leaves out what is behind the last newline: a record that is being
// written.
func (b *backward) skipTorn() error {
	for {
		if i := bytes.LastIndexByte(b.held, '\n'); i >= 0 {
			b.held = b.held[:i+1]
			return nil
		}
		b.held = b.held[:0]
		if err := b.fill(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// previous is the line before, without its newline. io.EOF says that there is
// none. A line that is longer than any record is nil.
func (b *backward) previous() ([]byte, error) {
	long := false
	for {
		if n := len(b.held); n > 0 {
			if i := bytes.LastIndexByte(b.held[:n-1], '\n'); i >= 0 || b.at == 0 {
				line := b.held[i+1 : n-1]
				b.held = b.held[:i+1]
				if long {
					line = nil
				}
				return line, nil
			}
		}
		if len(b.held) > maxRecord {
			// Its newline stays, for what is in front of it.
			b.held = append(b.held[:0], '\n')
			long = true
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// fill puts the block before in front of what is held.
func (b *backward) fill() error {
	if b.at == 0 {
		return io.EOF
	}
	n := min(b.at, blockSize)
	grown := make([]byte, n, int(n)+len(b.held))
	if _, err := b.f.ReadAt(grown, b.at-n); err != nil {
		return err
	}
	b.held = append(grown, b.held...)
	b.at -= n
	return nil
}
