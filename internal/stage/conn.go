package stage

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// Kind says what a frame's payload is. Zero is never sent.
type Kind byte

// maxFrame bounds what the other side can make us allocate, in bytes.
const maxFrame = 8 << 20

// headerSize is a frame's kind, then the payload's length, big endian.
const headerSize = 5

// Conn carries frames in both directions. Any number of goroutines may send;
// one at a time receives.
type Conn struct {
	file  *os.File
	limit uint32 // of a frame that comes; 0: maxFrame

	mu    sync.Mutex // held for one whole frame, so that frames never mix
	frame []byte     // reused from Send to Send
}

// newConn takes over fd. It is made non-blocking first, so that the runtime
// polls it and Close ends a Recv that waits.
func newConn(fd int) *Conn {
	_ = unix.SetNonblock(fd, true)
	return &Conn{file: os.NewFile(uintptr(fd), "stage")}
}

// NewConn speaks frames over f, a connected stream socket, and takes it over.
// Where its descriptor was non-blocking when f was made, Close ends a Recv that
// waits and Deadline counts.
func NewConn(f *os.File) *Conn { return &Conn{file: f} }

// Send writes one frame.
func (c *Conn) Send(kind Kind, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("frame of %d bytes: at most %d", len(payload), maxFrame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frame = append(c.frame[:0], byte(kind))
	c.frame = binary.BigEndian.AppendUint32(c.frame, uint32(len(payload)))
	c.frame = append(c.frame, payload...)
	_, err := c.file.Write(c.frame)
	return err
}

// SendJSON writes one frame that holds v.
func (c *Conn) SendJSON(kind Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Send(kind, b)
}

// SendFile writes one frame that brings a descriptor along (unix(7), SCM_RIGHTS).
func (c *Conn) SendFile(kind Kind, payload []byte, f *os.File) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	fd, err := linux.Descriptor(f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The descriptor travels with the header, which is never sent in parts.
	header := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(payload)))
	var sendErr error
	err = raw.Write(func(to uintptr) bool {
		sendErr = unix.Sendmsg(int(to), header, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
		return sendErr != unix.EAGAIN
	})
	if err = errors.Join(err, sendErr); err != nil {
		return err
	}
	_, err = c.file.Write(payload)
	return err
}

// RecvFile waits for a frame that may bring a descriptor along; nil where it does
// not.
func (c *Conn) RecvFile() (Kind, []byte, *os.File, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, nil, nil, err
	}
	var h [headerSize]byte
	// For one descriptor. Two fit as well, of which FileOf takes none; more are dropped by
	// the kernel.
	rights := make([]byte, unix.CmsgSpace(4))
	var n, rightsLen int
	var recvErr error
	err = raw.Read(func(from uintptr) bool {
		n, rightsLen, _, _, recvErr = unix.Recvmsg(int(from), h[:], rights, unix.MSG_CMSG_CLOEXEC)
		return recvErr != unix.EAGAIN
	})
	if err = errors.Join(err, recvErr); err != nil {
		return 0, nil, nil, goneIsEOF(err)
	}
	f, _ := linux.FileOf(rights[:rightsLen], "passed") // none is no error
	kind, payload, err := c.rest(h, n)
	if err != nil && f != nil {
		f.Close()
		f = nil
	}
	return kind, payload, f, err
}

// Deadline bounds how long the other side may take for a frame; zero: for ever.
func (c *Conn) Deadline(t time.Time) { _ = c.file.SetReadDeadline(t) }

// Limit bounds the frames that are received from now on, in bytes.
func (c *Conn) Limit(bytes uint32) { c.limit = bytes }

// Recv waits for the next frame. It returns io.EOF when the other side is gone,
// however it went.
func (c *Conn) Recv() (Kind, []byte, error) {
	return c.rest([headerSize]byte{}, 0)
}

// rest reads a frame of whose header the first got bytes are there.
func (c *Conn) rest(h [headerSize]byte, got int) (Kind, []byte, error) {
	if _, err := io.ReadFull(c.file, h[got:]); err != nil {
		return 0, nil, goneIsEOF(err)
	}
	n := binary.BigEndian.Uint32(h[1:])
	if most := cmp.Or(c.limit, maxFrame); n > most {
		return 0, nil, fmt.Errorf("frame of %d bytes: at most %d", n, most)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.file, payload); err != nil {
		return 0, nil, goneIsEOF(err)
	}
	return Kind(h[0]), payload, nil
}

// RecvJSON waits for a frame of the given kind and decodes it into v.
func (c *Conn) RecvJSON(want Kind, v any) error {
	kind, payload, err := c.Recv()
	if err != nil {
		return err
	}
	if kind != want {
		return fmt.Errorf("frame of kind %d where %d was due", kind, want)
	}
	return json.Unmarshal(payload, v)
}

// Close ends the conversation; a Recv that waits returns.
func (c *Conn) Close() error { return c.file.Close() }

// goneIsEOF folds the ways a peer can vanish into io.EOF: closed, killed with
// unread data (ECONNRESET), or in the middle of a frame.
func goneIsEOF(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return io.EOF
	}
	return err
}
