package stage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzRecv holds that whatever bytes and descriptors come over a socket, they are read
// as the frames that they are, up to the first that is too long or cut off, and that no
// descriptor stays open.
func FuzzRecv(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x02{}\x02\x00\x00\x00\x00"), uint16(100), byte(1))
	f.Add([]byte("\x01\x00\x00\x00\x02{}"), uint16(1), byte(2))
	f.Add([]byte("\xff\xff\xff\xff\xff"), uint16(0), byte(3))
	f.Add([]byte("\x05\x00\x00\x00\x09cut"), uint16(64), byte(0))
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16, descriptors byte) {
		stream = stream[:min(len(stream), 64<<10)] // what fits into the socket
		conn := sent(t, stream, int(descriptors%4))
		before := open(t)
		conn.Limit(uint32(limit) + 1)
		var seen []byte
		brought := 0
		for {
			kind, payload, file, err := conn.RecvFile()
			if file != nil {
				brought++
				file.Close()
			}
			if err != nil {
				checkEnd(t, err, stream[len(seen):], uint32(limit)+1)
				break
			}
			seen = append(seen, byte(kind))
			seen = binary.BigEndian.AppendUint32(seen, uint32(len(payload)))
			seen = append(seen, payload...)
		}
		if !bytes.HasPrefix(stream, seen) {
			t.Errorf("%q was read of %q", seen, stream)
		}
		if brought > 1 || brought == 1 && descriptors%4 != 1 {
			t.Errorf("%d descriptors were sent, %d came", descriptors%4, brought)
		}
		if now := open(t); now != before {
			t.Errorf("%d descriptors are open, %d were", now, before)
		}
	})
}

// checkEnd wants the reason for which nothing more was read to be in what is left.
func checkEnd(t *testing.T, err error, left []byte, limit uint32) {
	t.Helper()
	if len(left) < headerSize {
		if !errors.Is(err, io.EOF) {
			t.Errorf("%v at the end", err)
		}
		return
	}
	size := binary.BigEndian.Uint32(left[1:])
	if tooLong := size > limit; tooLong == errors.Is(err, io.EOF) || !tooLong && int(size) <= len(left)-headerSize {
		t.Errorf("%v, where a frame of %d bytes is next and %d are there", err, size, len(left)-headerSize)
	}
}

// sent is a connection over which the stream has come, its first byte with descriptors.
func sent(t *testing.T, stream []byte, descriptors int) *Conn {
	t.Helper()
	conn, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	defer file.Close()
	if descriptors > 0 && len(stream) > 0 {
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		fds := make([]int, descriptors)
		for i := range fds {
			fds[i] = int(null.Fd())
		}
		if err := unix.Sendmsg(int(file.Fd()), stream[:1], unix.UnixRights(fds...), nil, 0); err != nil {
			t.Fatal(err)
		}
		stream = stream[1:]
	}
	if _, err := file.Write(stream); err != nil {
		t.Fatal(err)
	}
	return conn
}

// open counts the descriptors of this process.
func open(t *testing.T) int {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}

func TestOfSeveralDescriptorsNoneStaysOpen(t *testing.T) {
	for count, want := range map[int]bool{1: true, 2: false, 3: false} {
		conn := sent(t, []byte("\x01\x00\x00\x00\x00"), count)
		before := open(t)
		kind, _, file, err := conn.RecvFile()
		if err != nil || kind != 1 || (file != nil) != want {
			t.Errorf("%d sent: kind %d, %v, %v", count, kind, file, err)
		}
		if file != nil {
			file.Close()
		}
		if now := open(t); now != before {
			t.Errorf("%d sent: %d descriptors are open, %d were", count, now, before)
		}
	}
}
