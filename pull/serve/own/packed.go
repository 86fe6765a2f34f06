package own

import (
	"errors"
	"io"
)

// Sequential makes content that can be seeked of a blob that can only be opened
// at an offset. It opens nothing before it is read.
type Sequential struct {
	Open func(offset int64) (io.ReadCloser, error)
	Size int64

	at      int64
	current io.ReadCloser // at at
}

// Read reads on from where Seek has led.
func (s *Sequential) Read(p []byte) (int, error) {
	if s.current == nil {
		if s.at >= s.Size {
			return 0, io.EOF
		}
		var err error
		if s.current, err = s.Open(s.at); err != nil {
			return 0, err
		}
	}
	n, err := s.current.Read(p)
	s.at += int64(n)
	return n, err
}

// Seek only notes where to read.
func (s *Sequential) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	if offset == s.at {
		return offset, nil
	}
	s.at = offset
	return offset, s.Close()
}

// Close closes what is open.
func (s *Sequential) Close() error {
	if s.current == nil {
		return nil
	}
	err := s.current.Close()
	s.current = nil
	return err
}
