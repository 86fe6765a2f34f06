package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
)

// frame is one as it is on the wire.
func frame(kind stage.Kind, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(payload))), payload...)
}

// inSocket is what fits into a socket that nobody reads.
const inSocket = 64 << 10

// FuzzControl holds that whatever a process of the user's says at a container's socket,
// it is answered in frames, and nothing of it stays: no goroutine, no client, no
// descriptor. There is no container: what is asked for is done to no process.
func FuzzControl(f *testing.F) {
	for _, asked := range []string{
		`{"verb":"attach","attach":{"stdin":true,"output":true},"size":{"rows":25,"columns":80}}`, `{"verb":"attach"}`,
		`{"verb":"kill","signal":"SIGRTMIN+3"}`, `{"verb":"kill","signal":"KILL","final":true}`, `{"verb":"kill","signal":"65"}`,
		`{"verb":"stop","timeout":-9223372036854775808,"down":true}`, `{"verb":"restart","timeout":9223372036854775807}`,
		`{"verb":"pause"}`, `{"verb":"unpause"}`, `{"verb":"\u0000"}`, `[]`, `{"verb":"disconnect","network":{"network":"../../x"}}`,
		`{"verb":"connect","network":{"network":"n","ip4":"fe80::1%eth0","ip6":"10.0.0.1","hardware":"x","aliases":[""]}}`,
	} {
		f.Add(asked, append(frame(kindResize, `{"rows":65535,"columns":1}`), frame(kindSignal, "\x0f")...), byte(len(asked)))
	}
	f.Add(`{"verb":"attach","attach":{"output":true}}`, append(frame(kindUnread, string(rune(kindStdout))), frame(kindUnread, "")...), byte(0))
	f.Add(`{"verb":"attach"}`, append(frame(kindSignal, "\xff"), 0xff, 0xff, 0xff, 0xff, 0xff), byte(1))
	f.Add(``, frame(kindAsk, `{"verb":"stop"}`), byte(8))
	data := f.TempDir()
	container, err := record.Root(data).Create("fuzzed")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, asked string, said []byte, how byte) {
		m := theMonitor(t, data, container)
		m.state.Status = []record.Status{record.Running, record.Paused, record.Restarting, record.Exited}[how%4]
		ours, theirs := unixPair(t)
		if how&8 == 0 {
			said = append(frame(kindAsk, asked[:min(len(asked), inSocket/2)]), said...)
		}
		said = said[:min(len(said), inSocket)]
		brought := speak(t, theirs, said, how&16 != 0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.answer(ours, 5*time.Second)
		}()
		checkAnswers(t, theirs)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%q: still being answered", said)
		}
		m.audience.wait()
		if len(m.audience.now()) > 0 {
			t.Errorf("%q: a client that is gone is attached", said)
		}
		if brought != nil {
			checkClosed(t, brought)
		}
	})
}

// theMonitor is one without a program; it takes turns until the test is over.
func theMonitor(t *testing.T, data string, c *record.Container) *monitor {
	t.Helper()
	sink, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 1 << 30 // above every pid
	m := &monitor{pidfd: -1, hostPID: nobody, turns: make(chan func()), over: make(chan struct{}), container: c}
	m.Paths = Paths{Data: data, Runtime: data}
	m.Spec.ID, m.Spec.Interactive = c.ID, true
	m.streams = &streams{stdin: sink, output: map[logfile.Stream]*os.File{logfile.Stdout: sink}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case f := <-m.turns:
				f()
			case <-m.over:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(m.over)
		<-ended
		sink.Close()
		if m.ending.timer != nil {
			m.ending.timer.Stop()
		}
		events, _ := filepath.Glob(filepath.Join(data, "events*"))
		for _, file := range events {
			_ = os.RemoveAll(file)
		}
	})
	return m
}

func unixPair(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "end")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
		t.Cleanup(func() { conn.Close() })
	}
	return ends[0], ends[1]
}

// speak says all of it and hangs up. With a descriptor it is the reading end of a pipe
// that holds a word, of which it returns the other end.
func speak(t *testing.T, conn *net.UnixConn, said []byte, withFile bool) *os.File {
	t.Helper()
	var kept *os.File
	if withFile && len(said) > 0 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.WriteString("typed")
		if _, _, err := conn.WriteMsgUnix(said[:1], unix.UnixRights(int(r.Fd())), nil); err != nil {
			t.Fatal(err)
		}
		r.Close()
		said, kept = said[1:], w
	}
	if _, err := conn.Write(said); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWrite()
	return kept
}

// checkAnswers wants frames of the monitor's, until it hangs up.
func checkAnswers(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	from := stage.NewConn(file)
	defer from.Close()
	for n := 0; ; n++ {
		kind, payload, err := from.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%v", err)
			}
			return
		}
		var failed Failure
		switch {
		case n > 0:
			t.Errorf("a frame of kind %d after the answer", kind)
		case kind == kindFailed && (json.Unmarshal(payload, &failed) != nil || failed.Message == "" || failed.Code == 0):
			t.Errorf("failed with %q", payload)
		case kind != kindFailed && kind != kindDone && kind != kindStarted:
			t.Errorf("answered by a frame of kind %d", kind)
		}
	}
}

// checkClosed wants the reading end of a pipe to be closed once all was read from it.
func checkClosed(t *testing.T, w *os.File) {
	t.Helper()
	defer w.Close()
	poll := []unix.PollFd{{Fd: int32(w.Fd())}}
	const milliseconds = 10_000
	for {
		n, err := unix.Poll(poll, milliseconds)
		switch {
		case err == unix.EINTR:
		case n == 0 || poll[0].Revents&unix.POLLERR == 0:
			t.Errorf("the descriptor that came is open: %v, %v", poll[0].Revents, err)
			return
		default:
			return
		}
	}
}

// FuzzClient holds that whatever comes to a command from a container's monitor, it
// passes the output on and ends, with a status.
func FuzzClient(f *testing.F) {
	started, output := frame(kindStarted, ""), append(frame(kindStdout, "out"), frame(kindStderr, "err")...)
	all := append(frame(kindNotice, "a notice"), frame(kindCreated, "ab")...)
	for _, end := range [][]byte{
		frame(kindExited, "\x07"), frame(kindExited, ""), frame(kindExited, "12"), frame(kindDone, ""), frame(kindFailed, ""), frame(kindFailed, `[]`),
		frame(kindFailed, `{"message":"no","code":126,"port":{"address":"x"}}`), frame(kindFailed, `{"message":"no","notRunning":true,"port":{}}`),
		{0xff},
		nil,
	} {
		f.Add(slices.Concat(all, started, output, end), byte(len(end)))
	}
	f.Add(slices.Concat(started, started, output), byte(3))
	f.Fuzz(func(t *testing.T, said []byte, how byte) {
		ours, theirs, err := stage.Pair()
		if err != nil {
			t.Fatal(err)
		}
		said = said[:min(len(said), inSocket)]
		if _, err := theirs.Write(said); err != nil {
			t.Fatal(err)
		}
		_ = unix.Shutdown(int(theirs.Fd()), unix.SHUT_WR)
		defer theirs.Close()
		var out, errOut bytes.Buffer
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		c := newClient(Attach{Stdin: how&1 != 0, Output: how&2 != 0}, how&4 != 0, Streams{
			Stdin: null, Stdout: &out, Stderr: &errOut, DetachKeys: []byte{16},
			Notice: func(string) {}, Created: func(string) error { return nil },
		})
		if how&8 != 0 {
			c.streams.Stdout = closedPipe{}
		}
		if c.stdin, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
			t.Fatal(err)
		}
		c.conn = ours
		status, err := c.relay()
		c.close()
		if failed := new(Failure); errors.As(err, &failed) && failed.Port != nil {
			_ = failed.Port.Error()
		}
		if err == nil && (status < 0 || status > 255) {
			t.Errorf("status %d", status)
		}
		if !joins(said, kindStdout, out.Bytes()) || !joins(said, kindStderr, errOut.Bytes()) {
			t.Errorf("%q and %q were printed of %q", &out, &errOut, said)
		}
	})
}

// joins reports whether the frames of a kind begin with what was printed.
func joins(said []byte, kind stage.Kind, printed []byte) bool {
	var all []byte
	for len(said) >= 5 {
		size := int(binary.BigEndian.Uint32(said[1:]))
		if size > len(said)-5 {
			break
		}
		if stage.Kind(said[0]) == kind {
			all = append(all, said[5:5+size]...)
		}
		said = said[5+size:]
	}
	return bytes.HasPrefix(all, printed)
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, unix.EPIPE }
