// Package lines reads a file that grows, line by line. It serves the files that
// one process of ours appends to while others read: events and logs.
package lines

import (
	"bufio"
	"errors"
	"io"
)

// Reader reads lines. At the end of the file it keeps what has no newline yet,
// and goes on there when the file has grown.
type Reader struct {
	r    *bufio.Reader
	held []byte // the beginning of a line that was not there whole
	max  int
	skip bool // the line is too long
}

// New reads lines from r. Those of more than max bytes are left out: none of
// ours is that long.
func New(r io.Reader, max int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// Next returns the next line, without its newline. It is valid until the next
// call. io.EOF says that there is none now; later there may be.
func (l *Reader) Next() ([]byte, error) {
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && len(l.held) == 0 && !l.skip && len(part) <= l.max {
			return part[:len(part)-1], nil
		}
		l.skip = l.skip || len(l.held)+len(part) > l.max
		l.held = append(l.held, part...)
		if l.skip {
			l.held = l.held[:0]
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		}
		line, skipped := l.held, l.skip
		l.held, l.skip = l.held[:0], false
		if !skipped {
			return line[:len(line)-1], nil
		}
	}
}
