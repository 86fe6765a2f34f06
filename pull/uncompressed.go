package pull

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"io"
	"sync/atomic"

	"rootlet/pull/xz"
)

// HeadSize is how many of a file's first bytes IsCompressed wants.
const HeadSize = 10

// Uncompressed is what a file that was compressed as a whole holds, gzip, zstd,
// xz or bzip2; one that is not comes as it is. What inflates like no real one is refused
// (threats 28).
func Uncompressed(r io.Reader) (io.ReadCloser, error) {
	in := &passed{from: r}
	b := bufio.NewReaderSize(in, 256<<10)
	head, err := b.Peek(HeadSize)
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
	switch {
	case isXZ(head):
		r, err := xz.NewReader(b, MaxWindow)
		return io.NopCloser(r), err
	case isBzip2(head):
		return io.NopCloser(bzip2.NewReader(b)), nil
	}
	head = head[:min(len(head), 4)]
	return newWindows(MaxWindow).decompressor(context.Background(), b, sniff(head))
}

// IsCompressed tells by the first bytes of a file.
func IsCompressed(head []byte) bool {
	return isXZ(head) || isBzip2(head) || sniff(head[:min(len(head), 4)]) != formatTar
}

func isXZ(head []byte) bool { return bytes.HasPrefix(head, []byte(xz.Magic)) }

// isBzip2 looks for the block size in the header, and the mark of a block or of
// the end after it: the header alone, "BZh9", could be a file's name in a tar.
func isBzip2(head []byte) bool {
	return len(head) >= HeadSize && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:HeadSize]) == "\x31\x41\x59\x26\x53\x59" || string(head[4:HeadSize]) == "\x17\x72\x45\x38\x50\x90")
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
