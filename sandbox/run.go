package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/internal/stage"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// You come here from cli/run.go. Next is monitor.go, in the process that this
// one starts.

// Streams are the client's.
type Streams struct {
	Stdin  *os.File
	Stdout io.Writer
	Stderr io.Writer
	// Signals delivers those of Signals() that the user sends.
	Signals <-chan os.Signal
	// KeepSignals has a signal end the client and not the container.
	KeepSignals bool
	// DetachKeys, typed at a terminal, end the client and not the container.
	DetachKeys []byte
	// Notice is told what the user should know and is no result.
	Notice func(text string)
	// Created is told the container's id as soon as there is one; its error ends
	// the container.
	Created func(id string) error
}

// Run has a monitor make a container, or start one that is there, and stays as
// long as the request wants it to be attached: it returns the exit status of the
// program, or 0 once the program runs without us. An error is a *Failure, or says
// why there is no monitor; nothing of a new container is left then unless it was
// listed already.
//
// A spare monitor is used where there is one; nil starts one now.
func Run(plan *userns.Plan, r Request, s Streams, spare *Spare) (int, error) {
	c, err := start(plan, r, s, spare)
	if err != nil {
		return codeEngine, err
	}
	status, err := c.relay()
	c.close()
	if c.gaveUp != 0 && errors.Is(err, fuseoverlay.ErrNoImage) {
		// The monitor had its answer on the way already: the user's word counts.
		err = errInterrupted(c.gaveUp)
	}
	if f := new(Failure); errors.As(err, &f) {
		f.nameHolder(r.Paths)
	}
	return status, err
}

// client is the user's side of one container.
type client struct {
	streams Streams
	attach  Attach
	tty     bool // the container has a terminal
	conn    *stage.Conn
	monitor *os.Process // nil where it was there before us
	stdin   *os.File    // the end of the pipe that we feed
	left    atomic.Int32
	hold    *networkHold // until the program runs

	done    chan struct{}  // closed when signals are no longer ours
	passing sync.WaitGroup // passSignals
	gaveUp  int            // the last signal that ends a command, 0 for none; passSignals'

	unread  map[stage.Kind]bool // output that nobody reads any more
	lost    error               // why output could not be written
	restore func()              // puts the user's terminal back
}

// start tells a monitor what to run, once it has its ids.
func start(plan *userns.Plan, r Request, s Streams, spare *Spare) (*client, error) {
	if err := checkSources(r.Spec.Mounts); err != nil {
		return nil, err
	}
	if err := checkIDs(plan, &r.Spec); err != nil {
		return nil, err
	}
	r.Host.Name = os.Getenv("USER")
	c := newClient(r.Attach, r.Spec.Process.TTY, s)
	if err := c.holdNetworks(r); err != nil {
		return nil, err
	}
	var err error
	if (len(r.Spec.Shares()) > 0 || r.Spec.PID != "") && !r.CreateOnly {
		spare.Discard()
		spare, err = beside(record.Root(r.Paths.Data), &r.Spec, r.Host)
	} else if spare == nil {
		spare, err = Prepare()
	}
	if err == nil {
		err = r.findCgroup(spare.monitor.Pid)
	}
	if err != nil {
		spare.Discard()
		return nil, err
	}
	if r.NoPIDs = spare.noPIDs != nil; r.NoPIDs && !r.Spec.Accepts(record.HostPID) {
		spare.Discard()
		return nil, refusal(&r.Spec, record.HostPID, spare.noPIDs)
	}
	c.conn, c.monitor, c.stdin = spare.conn, spare.monitor, spare.stdin
	failpoint.At("client before the maps")
	if !spare.mapped {
		err = plan.Map(c.monitor)
	}
	failpoint.At("client mapped")
	if err == nil {
		err = c.conn.SendJSON(kindRequest, r)
	}
	failpoint.At("client requested")
	if err != nil {
		return nil, c.blame(err)
	}
	c.passing.Go(c.passSignals)
	return c, nil
}

func newClient(a Attach, tty bool, s Streams) *client {
	return &client{
		streams: s, attach: a, tty: tty, done: make(chan struct{}),
		unread: map[stage.Kind]bool{}, restore: func() {},
	}
}

// blame finds out why a monitor could not be told what to run. Ctrl-C at a
// terminal goes to all that have not left this process's group yet: newuidmap,
// or the monitor itself, may have died of it.
func (c *client) blame(err error) error {
	select {
	case s := <-c.streams.Signals:
		if EndsWork(s) {
			return errInterrupted(int(s.(syscall.Signal)))
		}
	case <-time.After(10 * time.Millisecond): // it may come to us last
	}
	return fmt.Errorf("monitor: %w", err)
}

// checkSources refuses a path that the user may not read. It is asked here, as
// the user: in U1 the monitor may read whatever belongs to his ids.
func checkSources(mounts []record.Mount) error {
	for _, m := range mounts {
		if m.Type != record.Bind {
			continue
		}
		err := unix.Access(m.Source, unix.R_OK)
		if err == nil || errors.Is(err, unix.ENOENT) && m.MakeSource {
			continue
		}
		if errors.Is(err, unix.EACCES) {
			return fmt.Errorf("bind source path %s: you may not read it: %w", m.Source, err)
		}
		return fmt.Errorf("bind source path %s: %w", m.Source, err)
	}
	return nil
}

// relay handles the monitor's frames until its last, or until the client leaves.
func (c *client) relay() (int, error) {
	for {
		kind, payload, err := c.conn.Recv()
		if err != nil && c.left.Load() != 0 {
			return int(c.left.Load()) - leftWith, c.lost
		}
		if err != nil {
			return codeSignal + int(unix.SIGKILL), errors.New("the container's monitor died, and the container with it")
		}
		switch kind {
		case kindNotice:
			c.streams.Notice(string(payload))
		case kindCreated:
			failpoint.At("client hears of a container")
			if err := c.streams.Created(string(payload)); err != nil {
				c.giveUp()
				return codeEngine, err
			}
		case kindStarted:
			failpoint.At("client hears of a start")
			c.hold.release()
			if c.attach == (Attach{}) {
				return 0, nil
			}
			if err := c.connect(); err != nil {
				return codeEngine, err
			}
		case kindStdout:
			c.output(c.streams.Stdout, kind, payload)
		case kindStderr:
			c.output(c.streams.Stderr, kind, payload)
		case kindDone:
			failpoint.At("client hears of the end")
			return 0, nil
		case kindExited:
			if c.lost != nil {
				return codeEngine, c.lost
			}
			return exitStatus(payload)
		case kindFailed:
			var f Failure
			if err := json.Unmarshal(payload, &f); err != nil {
				return codeEngine, err
			}
			return f.Code, &f
		}
	}
}

// leftWith is added to the status of a client that leaves, so that zero means
// that it has not.
const leftWith = 1

// leave ends the client and not the container.
func (c *client) leave(status int) {
	if c.left.CompareAndSwap(0, int32(status+leftWith)) {
		_ = c.conn.Close()
	}
}

// close puts the terminal back and lets go of the monitor, which has more to do
// than the user waits for.
func (c *client) close() {
	c.restore()
	c.hold.release()
	close(c.done)
	c.passing.Wait() // a signal that it has taken is not for anybody else to see
	_ = c.conn.Close()
	if c.stdin != nil {
		_ = c.stdin.Close()
	}
	if c.monitor != nil {
		go func() { _, _ = c.monitor.Wait() }()
	}
}

// giveUp ends a container that does not run yet, and waits until it is gone.
func (c *client) giveUp() {
	_ = c.conn.Send(kindSignal, []byte{byte(unix.SIGTERM)})
	for {
		if kind, _, err := c.conn.Recv(); err != nil || kind == kindFailed || kind == kindExited {
			return
		}
	}
}

// connect connects standard input, and where the container has a terminal puts
// the user's into raw mode.
func (c *client) connect() error {
	if c.tty {
		if err := c.attachTerminal(); err != nil {
			return err
		}
	}
	if !c.attach.Stdin {
		return c.stdin.Close()
	}
	var from io.Reader = c.streams.Stdin
	if c.tty && len(c.streams.DetachKeys) > 0 {
		from = &detachReader{from: from, keys: c.streams.DetachKeys}
	}
	go func() {
		_, err := io.Copy(c.stdin, from)
		if errors.Is(err, errDetach) {
			c.leave(0)
			return
		}
		_ = c.stdin.Close()
	}()
	return nil
}

// giveUpAfter is how many interrupts a program may leave unanswered before its
// container is killed. Pid 1 of a container ignores signals that it does not
// handle (pid_namespaces(7)), which many programs do not expect of themselves.
const giveUpAfter = 3

// passSignals passes the user's signals on, to the monitor before the program
// runs and to the program afterwards.
func (c *client) passSignals() {
	interrupts := 0
	for {
		select {
		case <-c.done:
			return
		case s := <-c.streams.Signals:
			if c.streams.KeepSignals && EndsWork(s) {
				c.leave(codeSignal + int(s.(syscall.Signal)))
				continue
			}
			if s == unix.SIGINT || s == unix.SIGTERM {
				if interrupts++; interrupts >= giveUpAfter {
					s = unix.SIGKILL
				}
			}
			c.passSignal(s.(syscall.Signal))
		}
	}
}

func (c *client) passSignal(s syscall.Signal) {
	switch s {
	case unix.SIGPIPE: // ours: see output
		return
	case unix.SIGWINCH:
		c.sendSize()
		return
	case unix.SIGHUP:
		// The user's terminal is gone, the container's is its own: as with
		// Docker it lives on, to be found by ps.
		if c.tty {
			c.leave(codeSignal + int(unix.SIGHUP))
			return
		}
	}
	if EndsWork(s) {
		c.gaveUp = int(s)
	}
	_ = c.conn.Send(kindSignal, []byte{byte(s)})
}

// output writes what the program wrote. Where nobody reads any more, as behind
// `| head`, the program is to find its own pipe closed; not one that others may
// watch too, which its client leaves. A full disk is no such reader: what is lost
// on it is an error of the command.
func (c *client) output(to io.Writer, kind stage.Kind, payload []byte) {
	if c.unread[kind] {
		return
	}
	if _, err := to.Write(payload); err != nil {
		c.unread[kind] = true
		if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.EIO) { // EIO: a terminal that has gone
			c.lost = fmt.Errorf("the program's output is lost: %w", err)
		}
		if c.monitor == nil {
			c.leave(codeSignal + int(unix.SIGPIPE))
			return
		}
		_ = c.conn.Send(kindUnread, []byte{byte(kind)})
	}
}
