package sandbox

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// You come here from cli/exec.go, which has found the container (target.go).
// Next is joined.go.

// session is a program in a container and the user's command that stays with it.
type session struct {
	*joined
	streams Streams
	inside  handles // the program's ends of the pipes, until it has them
	stdin   *os.File
	output  []output
	pumps   sync.WaitGroup
	restore func()        // puts the user's terminal back
	left    chan struct{} // closed when the user has typed the detach keys
}

// output is where something that the program writes comes from and goes to.
type output struct {
	from *os.File
	to   io.Writer
}

// Exec runs a program in the container and stays with it until it ends. It
// returns the program's exit status. interactive passes standard input on.
func (t *Target) Exec(dataDir string, r ExecRequest, s Streams, interactive bool) (int, error) {
	e := &session{streams: s, restore: func() {}, left: make(chan struct{})}
	defer func() { e.inside.close() }()
	note := t.eventsOf(dataDir, r)
	stdio, err := e.open(r.TTY, interactive)
	if err != nil {
		return codeEngine, err
	}
	note("exec_create")
	if e.joined, err = t.join(r, stdio); err != nil {
		return codeEngine, err
	}
	note("exec_start")
	e.inside.close()
	if err := e.attach(r.TTY, interactive); err != nil {
		return codeEngine, err
	}
	defer e.restore()
	status, err := e.stay()
	select {
	case <-e.left:
		note("exec_detach")
	default:
		note("exec_die", "exitCode", strconv.Itoa(status))
	}
	return status, err
}

// ExecDetached starts a program in the container and leaves it to itself.
func (t *Target) ExecDetached(dataDir string, r ExecRequest) error {
	note := t.eventsOf(dataDir, r)
	var open handles
	defer open.close()
	null, err := open.addFile(os.OpenFile(os.DevNull, os.O_RDWR, 0))
	if err != nil {
		return err
	}
	note("exec_create")
	if _, err = t.join(r, [3]int{null, null, null}); err == nil {
		note("exec_start")
	}
	return err
}

// eventsOf returns what writes the events of one exec down.
func (t *Target) eventsOf(dataDir string, r ExecRequest) func(action string, more ...string) {
	id := record.NewID()
	return func(action string, more ...string) {
		if action == "exec_create" || action == "exec_start" {
			action += ": " + strings.Join(r.Args, " ")
		}
		_ = events.Append(dataDir, events.Of(t.spec, action, append([]string{"execID", id}, more...)...))
	}
}

// open makes the program's standard input and output: pipes, and never anything
// that is the user's own (CVE-2017-5226). A terminal is made inside.
func (e *session) open(tty, interactive bool) ([3]int, error) {
	null, err := e.inside.addFile(os.OpenFile(os.DevNull, os.O_RDWR, 0))
	stdio := [3]int{null, null, null}
	if err != nil || tty {
		return stdio, err
	}
	if interactive {
		r, w, err := openPipe()
		if err != nil {
			return stdio, err
		}
		e.stdin = w
		if stdio[0], err = e.inside.addFile(r, nil); err != nil {
			return stdio, err
		}
	}
	for fd, to := range map[int]io.Writer{1: e.streams.Stdout, 2: e.streams.Stderr} {
		r, w, err := openPipe()
		if err != nil {
			return stdio, err
		}
		e.output = append(e.output, output{r, to})
		if stdio[fd], err = e.inside.addFile(w, nil); err != nil {
			return stdio, err
		}
	}
	return stdio, nil
}

// attach moves bytes between the user and the program.
func (e *session) attach(tty, interactive bool) error {
	if tty {
		e.stdin = e.console
		e.output = []output{{e.console, e.streams.Stdout}}
	}
	if tty && interactive && isTerminal(e.streams.Stdin) {
		var err error
		if e.restore, err = makeRaw(e.streams.Stdin); err != nil {
			return err
		}
		e.resize() // it may have changed since the request was made
	}
	for _, o := range e.output {
		e.pumps.Go(o.pump)
	}
	if interactive {
		go e.feed()
	}
	return nil
}

// feed passes on what the user types. A terminal stays open after it.
func (e *session) feed() {
	var from io.Reader = e.streams.Stdin
	if e.console != nil && len(e.streams.DetachKeys) > 0 {
		from = &detachReader{from: from, keys: e.streams.DetachKeys}
	}
	if _, err := io.Copy(e.stdin, from); errors.Is(err, errDetach) {
		close(e.left)
	}
	if e.stdin != e.console {
		_ = e.stdin.Close()
	}
}

// pump passes on what the program writes. Where nobody reads any more, as behind
// `| head`, the program is to find its own pipe closed.
func (o output) pump() {
	_, _ = io.Copy(o.to, o.from)
	_ = o.from.Close()
}

// resize gives the program's terminal the size of the user's.
func (e *session) resize() { setWindow(e.console, TerminalSize(e.streams.Stdin)) }

// lateOutput is how long what the program has left behind in the background may
// write after its end, as with Docker.
const lateOutput = 2 * time.Second

// stay passes signals on until the program has ended and its output is through.
func (e *session) stay() (int, error) {
	var status int
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		status, err = e.wait()
	}()
	for {
		select {
		case <-ended:
			for _, o := range e.output {
				_ = o.from.SetReadDeadline(time.Now().Add(lateOutput))
			}
			e.pumps.Wait()
			return status, err
		case <-e.left:
			return 0, e.leave()
		case s := <-e.streams.Signals:
			if hungUp := e.pass(s.(syscall.Signal)); hungUp {
				return codeSignal + int(unix.SIGHUP), nil
			}
		}
	}
}

// pass passes a signal of the user's on. It reports whether his terminal is
// gone, which the program learns by its own terminal's end.
func (e *session) pass(s syscall.Signal) (hungUp bool) {
	switch {
	case s == unix.SIGPIPE: // ours: see pump
	case s == unix.SIGWINCH:
		if e.console != nil {
			e.resize()
		}
	case s == unix.SIGHUP && e.console != nil:
		return true
	default:
		e.signal(s)
	}
	return false
}
