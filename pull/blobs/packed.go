package blobs

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// The head of a packed blob is a frame that zstd skips (RFC 8878, 3.1.2), with
// the number of bytes that come out: a stream's own header can say so only where
// it is known beforehand.
const (
	skippable  = 0x184d2a50
	headerSize = 16
)

func header(size int64) []byte {
	head := binary.LittleEndian.AppendUint32(nil, skippable)
	head = binary.LittleEndian.AppendUint32(head, 8)
	return binary.LittleEndian.AppendUint64(head, uint64(size))
}

func readHeader(r io.Reader) (int64, error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, err
	}
	size := int64(binary.LittleEndian.Uint64(head[8:]))
	if string(head) != string(header(size)) || size < 0 {
		return 0, errors.New("no head of a packed blob")
	}
	return size, nil
}

// frameSize is how much of a blob goes into one frame, in bytes. Frames of their own
// are compressed from where the bytes lie, while a stream's are copied into its window
// first: it takes two thirds of the time, and 7 % more room.
const frameSize = 1 << 20

// maxWindow bounds what a decoder takes, in bytes; earlier versions made streams with
// windows of up to 4 MiB.
const maxWindow = 8 << 20

// packing is a file that a blob is packed into, while what it comes from is unpacked:
// one goroutine and the fastest level, as nobody waits for what push will send.
type packing struct {
	file    *os.File
	encoder *zstd.Encoder
	raw     []byte // what does not fill a frame yet
	frame   []byte
}

func newPacking(file *os.File) (*packing, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(frameSize), zstd.WithEncoderCRC(false)) // the digest is compared
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(header(0)); err != nil {
		return nil, err
	}
	return &packing{file: file, encoder: encoder, raw: make([]byte, 0, frameSize)}, nil
}

// Write implements io.Writer.
func (p *packing) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), frameSize-len(p.raw))]
		p.raw = append(p.raw, part...)
		if len(p.raw) == frameSize {
			if err := p.flush(); err != nil {
				return n, err
			}
		}
		n += len(part)
		b = b[len(part):]
	}
	return n, nil
}

func (p *packing) flush() error {
	p.frame = p.encoder.EncodeAll(p.raw, p.frame[:0])
	p.raw = p.raw[:0]
	_, err := p.file.Write(p.frame)
	return err
}

// finish writes what is left, and how many bytes the blob has.
func (p *packing) finish(size int64) error {
	if len(p.raw) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	_, err := p.file.WriteAt(header(size), 0)
	return err
}
