package registry

import (
	"context"
	"io"
	"sync"
	"time"
)

// sending is the body of a request. It ends the request when the registry takes
// nothing of it for too long.
type sending struct {
	from    io.ReadCloser
	left    int64
	silence time.Duration
	watch   *time.Timer

	mu     sync.Mutex
	failed error // why from could not be read
}

func newSending(from io.ReadCloser, n int64, silence time.Duration, cancel context.CancelCauseFunc) *sending {
	return &sending{from: from, left: n, silence: silence, watch: time.AfterFunc(silence, func() { cancel(errSilent) })}
}

// Read implements io.Reader. The watch runs between reads alone: a slow disk is
// no silent registry.
func (s *sending) Read(p []byte) (int, error) {
	s.watch.Stop()
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.from.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	switch {
	case s.left == 0 && err == nil:
		// What is read has to come to its end to be known to be whole.
		err = atEnd(s.from)
	case s.left > 0 && err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
		return 0, err // nothing more: the registry must not have it whole
	}
	if s.left > 0 {
		s.watch.Reset(s.silence)
	}
	return n, err
}

func atEnd(r io.Reader) error {
	var one [1]byte
	if _, err := io.ReadFull(r, one[:]); err != nil {
		return err // io.EOF, or that it was damaged
	}
	return errLonger
}

// failure is why the body could not be read here.
func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Close implements io.Closer.
func (s *sending) Close() error {
	s.watch.Stop()
	return s.from.Close()
}
