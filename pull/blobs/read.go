package blobs

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// Read opens a blob and says how many bytes it has. Its last byte comes with an
// io.EOF only if all of them were right, else ErrDamaged. Without the blob the
// error is fs.ErrNotExist.
func (s *Store) Read(digest string) (io.ReadCloser, int64, error) { return s.Open(digest, 0) }

// Open is Read from an offset; the number of bytes is that of the whole blob.
// The blob is compared with its digest where all of it is read anyway: from its
// beginning, or packed.
func (s *Store) Open(digest string, offset int64) (io.ReadCloser, int64, error) {
	path, err := s.whole(digest)
	if err != nil {
		return nil, 0, err
	}
	keep := s.keep
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		packed, size, err := s.openPacked(digest, path+packedExt, offset)
		if !errors.Is(err, fs.ErrNotExist) {
			return packed, size, err
		}
		if f = s.others.open(filepath.Base(path)); f == nil {
			return nil, 0, err
		}
		keep = true
	} else if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && (offset < 0 || offset > size) {
		err = fmt.Errorf("blob %s has no byte %d", digest, offset)
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if offset > 0 {
		return f, size, nil
	}
	return &verified{from: f, file: f, hash: sha256.New(), digest: digest, size: size, keep: keep, others: s.others}, size, nil
}

// openPacked unpacks a blob on the way, up to the offset for the digest's sake.
func (s *Store) openPacked(digest, path string, offset int64) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	v := &verified{file: f, hash: sha256.New(), digest: digest, keep: s.keep}
	size, err := readHeader(f)
	if err != nil {
		return nil, 0, errors.Join(v.damaged(err), f.Close())
	}
	d, err := zstd.NewReader(bufio.NewReaderSize(f, 256<<10), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	v.from, v.decoder, v.size = d, d, size
	if offset < 0 || offset > size {
		err = fmt.Errorf("blob %s has no byte %d", digest, offset)
	} else if _, err = io.CopyN(io.Discard, v, offset); errors.Is(err, io.EOF) {
		err = v.damaged(err)
	}
	if err != nil {
		v.Close()
		return nil, 0, err
	}
	return v, size, nil
}

// verified compares what is read with the digest, and removes what differs.
type verified struct {
	from    io.Reader
	file    *os.File
	decoder *zstd.Decoder // nil: kept as it came
	hash    hash.Hash
	digest  string
	size    int64 // bytes that there should be
	read    int64
	keep    bool // one that is damaged stays
	others  *others
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.hash.Write(p[:n])
	v.read += int64(n)
	switch {
	case err == io.EOF:
		if got := sum(v.hash); got != v.digest || v.read != v.size {
			err = v.damaged(fmt.Errorf("it has %d bytes with the digest %s", v.read, got))
		}
	case err != nil && v.decoder != nil && !isPathError(err):
		err = v.damaged(err)
	}
	return n, err
}

// isPathError tells a disk that does not read from content that does not unpack.
func isPathError(err error) bool {
	var disk *fs.PathError
	return errors.As(err, &disk)
}

// damaged removes the blob, unless another has taken its place meanwhile.
func (v *verified) damaged(cause error) error {
	v.others.distrust(v.digest)
	if mine, err := v.file.Stat(); err == nil && !v.keep {
		if there, err := os.Lstat(v.file.Name()); err == nil && os.SameFile(mine, there) {
			_ = gone(v.file.Name())
		}
	}
	return fmt.Errorf("blob %s: %w: %w", v.digest, ErrDamaged, cause)
}

// Close implements io.Closer.
func (v *verified) Close() error {
	if v.decoder != nil {
		v.decoder.Close()
	}
	return v.file.Close()
}

func sum(h hash.Hash) string { return algorithm + hex.EncodeToString(h.Sum(nil)) }
