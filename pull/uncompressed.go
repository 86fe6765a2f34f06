package pull

import (
	"bufio"
	"context"
	"io"
	"sync/atomic"

	"rootlet/pull/xz"
)

// Uncompressed is what a file that was compressed as a whole holds, gzip, zstd
// or xz; one that is not comes as it is. What inflates like no real one is refused
// (threats 28).
func Uncompressed(r io.Reader) (io.ReadCloser, error) {
	in := &passed{from: r}
	b := bufio.NewReaderSize(in, 256<<10)
	head, err := b.Peek(len(xz.Magic))
	if err != nil && err != io.EOF {
		return nil, err
	}
	out, err := unpacker(b, head)
	if err != nil {
		return nil, err
	}
	return &inflated{bombGuard{from: noPanic{out}, in: in, ratio: bombRatio}, out}, nil
}

func unpacker(b *bufio.Reader, head []byte) (io.ReadCloser, error) {
	if string(head) == xz.Magic {
		r, err := xz.NewReader(b, MaxWindow)
		return io.NopCloser(r), err
	}
	head = head[:min(len(head), 4)]
	return newWindows(MaxWindow).decompressor(context.Background(), b, sniff(head))
}

// IsCompressed tells by the first bytes of a file, of which six are enough.
func IsCompressed(head []byte) bool {
	return string(head) == xz.Magic || sniff(head[:min(len(head), 4)]) != formatTar
}

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
