// Package xz reads files in the .xz format (The .xz File Format 1.2.1) with a
// bound on the memory that takes: each block says for itself how large a
// dictionary it wants, up to 4 GiB, and the library that does the decoding
// (LZMA2) would follow it. Package pull calls it, for archives that are
// compressed as a whole.
package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// Magic is how such a file begins (2.1.1.1).
const Magic = "\xfd7zXZ\x00"

// ErrDictionary says that a block asks for more memory than it may have.
var ErrDictionary = errors.New("xz: needs a larger dictionary than is allowed")

var errFormat = errors.New("xz: the file is damaged")

// Reader is the content of a file: all blocks of all its streams.
type Reader struct {
	in    *counter
	most  int64 // bytes of dictionary
	check byte  // the kind that the stream has
	block io.Reader
	hash  hash.Hash
	start int64 // where the block's data begin
	err   error
}

// NewReader reads the first header. most bounds the dictionary, in bytes.
func NewReader(r io.Reader, most int64) (*Reader, error) {
	x := &Reader{in: &counter{from: bufio.NewReader(r)}, most: most}
	return x, x.streamHeader()
}

// Read implements io.Reader.
func (x *Reader) Read(p []byte) (int, error) {
	for x.err == nil {
		if x.block == nil {
			x.err = x.next()
			continue
		}
		n, err := x.block.Read(p)
		x.hash.Write(p[:n])
		if err == io.EOF {
			err = x.endBlock()
		}
		if x.err = err; n > 0 || err != nil {
			return n, err
		}
	}
	return 0, x.err
}

// streamHeader is section 2.1.1.
func (x *Reader) streamHeader() error {
	head, err := x.take(12)
	if err != nil {
		return err
	}
	if string(head[:6]) != Magic || head[6] != 0 || head[7] > 15 || !sums(head[6:8], head[8:]) {
		return errFormat
	}
	x.check = head[7]
	if _, err = x.newHash(); err != nil {
		return err
	}
	return nil
}

// newHash is the check of section 2.1.1.2 and the number of its bytes.
func (x *Reader) newHash() (hash.Hash, error) {
	switch x.check {
	case 0:
		return none{}, nil
	case 1:
		return crc32.NewIEEE(), nil
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), nil
	case 10:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("xz: checks of type %d are not known", x.check)
}

// next begins a block, or ends with io.EOF behind the last one.
func (x *Reader) next() error {
	size, err := x.in.ReadByte()
	if err != nil {
		return cut(err)
	}
	if size == 0 {
		return x.endStream()
	}
	rest, err := x.take((int(size)+1)*4 - 1)
	if err != nil {
		return err
	}
	header := append([]byte{size}, rest...)
	end := len(header) - 4
	if !sums(header[:end], header[end:]) {
		return errFormat
	}
	dictionary, err := blockDictionary(header[1:end])
	if err != nil {
		return err
	}
	if dictionary > x.most {
		return fmt.Errorf("%w: %d bytes", ErrDictionary, dictionary)
	}
	if x.hash, err = x.newHash(); err != nil {
		return err
	}
	x.start = x.in.n
	x.block, err = lzma.Reader2Config{DictCap: int(max(dictionary, lzma.MinDictCap))}.NewReader2(x.in)
	return err
}

// blockDictionary is the size that a block header asks for (3.1). Filters other
// than LZMA2 are for programs and rarely there.
func blockDictionary(header []byte) (int64, error) {
	flags, fields := header[0], bytes.NewReader(header[1:])
	if flags&0x3f != 0 {
		return 0, errors.New("xz: filters other than LZMA2 are not known")
	}
	for _, bit := range []byte{0x40, 0x80} { // the sizes, which the data say themselves
		if flags&bit != 0 {
			if _, err := number(fields); err != nil {
				return 0, err
			}
		}
	}
	var filter [3]byte // LZMA2, of one byte of properties
	if _, err := io.ReadFull(fields, filter[:]); err != nil || filter[0] != 0x21 || filter[1] != 1 {
		return 0, errors.New("xz: filters other than LZMA2 are not known")
	}
	return lzma.DecodeDictCap(filter[2])
}

// endBlock is the padding and the check (3.3, 3.4).
func (x *Reader) endBlock() error {
	x.block = nil
	if err := x.padding(x.in.n - x.start); err != nil {
		return err
	}
	stored, err := x.take(x.hash.Size())
	if err != nil {
		return err
	}
	sum := x.hash.Sum(nil)
	if x.check != 10 { // the others are kept with the lowest byte first
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	if !bytes.Equal(sum, stored) {
		return errFormat
	}
	return nil
}

// endStream is the index (4), whose first byte has been read, the footer
// (2.1.2), and what may come after: padding, and another stream.
func (x *Reader) endStream() error {
	start := x.in.n - 1
	records, err := number(x.in)
	if err != nil {
		return err
	}
	for range records {
		for range 2 {
			if _, err := number(x.in); err != nil {
				return err
			}
		}
	}
	if err := x.padding(x.in.n - start); err != nil {
		return err
	}
	tail, err := x.take(4 + 12)
	if err != nil {
		return err
	}
	if string(tail[14:]) != "YZ" || !sums(tail[8:14], tail[4:8]) || tail[13] != x.check {
		return errFormat
	}
	for {
		next, err := x.in.from.Peek(4)
		if len(next) == 0 && err == io.EOF {
			return io.EOF
		}
		if len(next) < 4 {
			return errFormat
		}
		if string(next) != "\x00\x00\x00\x00" {
			return x.streamHeader()
		}
		if _, err := x.take(4); err != nil {
			return err
		}
	}
}

// padding reads zeros up to a multiple of four.
func (x *Reader) padding(written int64) error {
	zeros, err := x.take(int(-written & 3))
	if err == nil && len(bytes.Trim(zeros, "\x00")) > 0 {
		err = errFormat
	}
	return err
}

func (x *Reader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(x.in, b)
	return b, cut(err)
}

// cut is the end of a file before its time.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func sums(of, stored []byte) bool {
	return crc32.ChecksumIEEE(of) == binary.LittleEndian.Uint32(stored)
}

// number is a variable-length integer (1.2), of which nine bytes are the most.
func number(r io.ByteReader) (uint64, error) {
	var n uint64
	for i := range 9 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, cut(err)
		}
		if n |= uint64(b&0x7f) << (7 * i); b&0x80 == 0 {
			return n, nil
		}
	}
	return 0, errFormat
}

// counter counts what is read.
type counter struct {
	from *bufio.Reader
	n    int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// ReadByte implements io.ByteReader.
func (c *counter) ReadByte() (byte, error) {
	b, err := c.from.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// none is the check of a stream that has none.
type none struct{}

func (none) Write(p []byte) (int, error) { return len(p), nil }
func (none) Sum(b []byte) []byte         { return b }
func (none) Reset()                      {}
func (none) Size() int                   { return 0 }
func (none) BlockSize() int              { return 1 }
