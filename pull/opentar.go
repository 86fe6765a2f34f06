package pull

import (
	"bufio"
	"errors"
	"io"
)

// OpenTar reads the archive of a layer out of its blob, which it tells the
// compression of by its first bytes. Closing it closes the blob.
func OpenTar(blob io.ReadCloser) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(blob, 256<<10)
	head, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, blob.Close())
	}
	tar, err := decompressor(buffered, sniff(head))
	if err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	return &openTar{noPanic{tar}, tar, blob}, nil
}

type openTar struct {
	io.Reader
	tar, blob io.Closer
}

// Close implements io.Closer.
func (t *openTar) Close() error { return errors.Join(t.tar.Close(), t.blob.Close()) }
