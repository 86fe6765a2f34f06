package pull

import (
	"bufio"
	"context"
	"io"
	"sync/atomic"
)

// Uncompressed is what a file that was compressed as a whole holds, gzip or zstd;
// one that is not comes as it is. What inflates like no real one is refused
// (threats 28).
func Uncompressed(r io.Reader) (io.ReadCloser, error) {
	in := &passed{from: r}
	b := bufio.NewReaderSize(in, 256<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	out, err := newWindows(maxWindow).decompressor(context.Background(), b, sniff(head))
	if err != nil {
		return nil, err
	}
	return &inflated{bombGuard{from: noPanic{out}, in: in, ratio: bombRatio}, out}, nil
}

// IsCompressed tells by the first bytes of a file, of which four are enough.
func IsCompressed(head []byte) bool { return sniff(head) != formatTar }

// passed counts what is read.
type passed struct {
	from  io.Reader
	bytes atomic.Int64 // a decoder may read ahead in a goroutine of its own
}

// Read implements io.Reader.
func (p *passed) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.bytes.Add(int64(n))
	return n, err
}

// inflated is a tar, and the decoder that it comes from.
type inflated struct {
	bombGuard
	closer io.Closer
}

// Close implements io.Closer.
func (i *inflated) Close() error { return i.closer.Close() }
