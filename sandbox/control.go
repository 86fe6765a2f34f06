package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/record"
)

// The other end is ask.go, in whatever command the user types.

// control is the socket at which a container that is up is asked for things.
type control struct {
	file     *os.File // the listening descriptor, for the next image of this process
	listener *net.UnixListener
	busy     atomic.Int32  // clients that are being served
	places   chan struct{} // full while maxClients are
	held     chan struct{}
}

const (
	// maxClients bounds what others of the user's processes can cost us; further
	// ones wait in the listener's queue.
	maxClients = 128
	// askWait is how long a client may take to say what it wants, and crowdedWait
	// that of one who comes when there is a crowd.
	askWait     = 5 * time.Second
	crowdedWait = 100 * time.Millisecond
	crowd       = maxClients / 2
	// maxAsk bounds what a client can make us keep, in bytes.
	maxAsk = 64 << 10
)

// acceptAgain is how long accept rests after an error that passes.
const acceptAgain = 100 * time.Millisecond

// socketName is the socket's name in the container's directory.
const socketName = "socket"

// socketPaths are where the socket may be. It stands in the container's own
// directory, which is the user's alone and outlives $XDG_RUNTIME_DIR; a home on
// a file system that has no sockets leaves the second.
func socketPaths(p Paths, id string) []string {
	return []string{filepath.Join(record.Root(p.Data).Dir(id), socketName), filepath.Join(p.Runtime, id[:12]+".socket")}
}

// openSocket makes the socket.
func (m *monitor) openSocket() error {
	var errs []error
	for _, path := range socketPaths(m.Paths, m.container.ID) {
		l, err := linux.ListenUnix(path)
		if err == nil {
			failpoint.At("control bound")
			return m.serve(l)
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("control socket: %w", errors.Join(errs...))
}

func (m *monitor) serve(l *net.UnixListener) error {
	file, err := l.File()
	if err != nil {
		return err
	}
	m.control = newControl(file, l)
	go m.accept(m.control)
	return nil
}

func newControl(file *os.File, l *net.UnixListener) *control {
	return &control{file: file, listener: l, places: make(chan struct{}, maxClients), held: make(chan struct{})}
}

// accept admits clients until the listener has had its time.
func (m *monitor) accept(c *control) {
	for {
		conn, err := c.listener.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.held <- struct{}{}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor is free, most likely: one will be
			time.Sleep(acceptAgain)
			continue
		}
		if !linux.OwnPeer(conn) {
			conn.Close()
			continue
		}
		wait := askWait
		if c.busy.Add(1) > crowd {
			wait = crowdedWait
		}
		c.places <- struct{}{}
		go func() {
			defer c.busy.Add(-1)
			m.answer(conn, wait)
			<-c.places
		}()
	}
}

// hold ends accept, with nobody let in halfway: who connects meanwhile waits in
// the listener's queue.
func (c *control) hold() {
	_ = c.listener.SetDeadline(time.Unix(1, 0))
	<-c.held
}

// release lets accept be called again.
func (c *control) release() { _ = c.listener.SetDeadline(time.Time{}) }

// answer serves one client.
func (m *monitor) answer(raw *net.UnixConn, wait time.Duration) {
	file, err := raw.File()
	raw.Close()
	if err != nil {
		return
	}
	conn := stage.NewConn(file)
	defer conn.Close()
	conn.Limit(maxAsk)
	conn.Deadline(time.Now().Add(wait))
	kind, payload, passed, err := conn.RecvFile()
	var a ask
	if err != nil || kind != kindAsk || json.Unmarshal(payload, &a) != nil {
		closeFile(passed)
		return
	}
	conn.Deadline(time.Time{})
	if a.Verb == verbAttach {
		m.attachTo(conn, a, passed)
		return
	}
	closeFile(passed)
	failpoint.At("control asked")
	if !m.turn(func() { err = m.do(a) }) {
		err = ErrNotRunning
	}
	failpoint.At("control did it")
	if err != nil {
		_ = conn.SendJSON(kindFailed, failureOf(err))
		return
	}
	_ = conn.Send(kindDone, nil)
	failpoint.At("control answered")
}

// attachTo attaches a client for as long as it stays.
func (m *monitor) attachTo(conn *stage.Conn, a ask, stdin *os.File) {
	var c *attached
	m.turn(func() {
		if !a.Attach.Stdin || m.streams.stdin == nil {
			closeFile(stdin)
			stdin = nil
		}
		if !m.state.Status.Up() {
			_ = conn.SendJSON(kindFailed, failureOf(ErrNotRunning))
			return
		}
		_ = conn.Send(kindStarted, nil)
		m.setSize(a.Size)
		c = m.admit(conn, a.Attach, stdin)
		m.happened("attach")
	})
	if c == nil {
		closeFile(stdin)
		return
	}
	m.attend(c)
}

func closeFile(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}

// do does what a client asks for, on the container's own goroutine.
func (m *monitor) do(a ask) error {
	up := m.state.Status.Up()
	switch {
	case a.Verb == verbStop || a.Verb == verbRestart:
		return m.stop(a)
	case a.Verb == verbKill && a.Final && !up:
		m.ending.asked, m.state.Stopped = true, true // between two lives
		return nil
	case a.Verb == verbConnect:
		return m.connect(a.Network)
	case a.Verb == verbDisconnect:
		return m.leave(a.Network.Network)
	case a.Verb == verbUpdate:
		return m.update(a)
	case !up:
		return ErrNotRunning
	case a.Verb == verbKill:
		return m.killWith(a)
	case a.Verb == verbPause:
		return m.pause()
	case a.Verb == verbUnpause:
		return m.unpause()
	}
	return fmt.Errorf("this container's monitor does not know %q: it was started by another version of rootlet", a.Verb)
}

func (m *monitor) killWith(a ask) error {
	signal, err := ParseSignal(a.Signal)
	if err != nil {
		return err
	}
	m.signalled(int(signal))
	if signal == unix.SIGKILL && m.state.Status == record.Paused {
		return m.unpause() // so that it can die
	}
	return nil
}

// closeSocket ends the serving of clients: nobody new is to find a container that
// is on its way out.
func (m *monitor) closeSocket() {
	_ = m.control.listener.Close()
	_ = m.control.file.Close()
	for _, path := range socketPaths(m.Paths, m.container.ID) {
		_ = os.Remove(path)
	}
}
