package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/record"
)

// You come here from package cli, with a container that is there already. The
// other end is control.go, in the container's monitor.

// listenWait is how long a monitor may live and not listen: on its way out it
// closes its socket first.
const listenWait = 3 * time.Second

// dial connects to the monitor of a container. It returns ErrNotRunning where
// there is none, or one whose program has ended.
func dial(p Paths, id string) (*stage.Conn, error) {
	root := record.Root(p.Data)
	for deadline := time.Now().Add(listenWait); ; time.Sleep(2 * time.Millisecond) {
		for _, path := range socketPaths(p, id) {
			conn, err := linux.DialUnix(path)
			if err == nil {
				return stage.NewConn(conn), nil
			}
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ECONNREFUSED) {
				return nil, fmt.Errorf("control socket: %w", err)
			}
		}
		alive := root.Alive(id)
		if s, err := root.Live(id); !alive || err == nil && !s.Status.Up() && s.Status != record.Restarting {
			return nil, ErrNotRunning
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("container %s: its monitor lives and does not listen; on another host that shares this home, perhaps", id[:12])
		}
	}
}

// answerWait is how long a monitor may take to answer. It does so at once; one
// that is busy starting its program needs a moment.
const answerWait = 20 * time.Second

// tell asks a monitor for something and waits for its answer.
func tell(p Paths, id string, a ask) error {
	conn, err := dial(p, id)
	if err != nil {
		return err
	}
	defer conn.Close()
	failpoint.At("ask connected")
	if err := conn.SendJSON(kindAsk, a); errors.Is(err, unix.EPIPE) {
		return ErrNotRunning // it ended meanwhile
	} else if err != nil {
		return err
	}
	failpoint.At("ask asked")
	conn.Deadline(time.Now().Add(answerWait))
	kind, payload, err := conn.Recv()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("container %s: its monitor has not answered for %v", id[:12], answerWait)
	case err != nil:
		return ErrNotRunning // it ended meanwhile
	case kind == kindFailed:
		var f Failure
		if err := json.Unmarshal(payload, &f); err != nil {
			return err
		}
		return &f
	}
	return nil
}

// Kill sends a signal to the program of a container, by name or number; after
// SIGKILL it waits until the program has ended, as Docker's does. It returns
// ErrNotRunning where there is no program.
func Kill(p Paths, id, signal string) error {
	before, _ := record.Root(p.Data).Live(id)
	if err := tell(p, id, ask{Verb: verbKill, Signal: signal}); err != nil {
		return err
	}
	if n, err := ParseSignal(signal); err != nil || n != unix.SIGKILL {
		return err
	}
	return ended(p, id, before)
}

// Pause holds all processes of a container still; Unpause lets them go on.
func Pause(p Paths, id string) error { return tell(p, id, ask{Verb: verbPause}) }

// Unpause lets the processes of a paused container go on.
func Unpause(p Paths, id string) error { return tell(p, id, ask{Verb: verbUnpause}) }

// Stop tells the program of a container to end, has it killed after timeout
// seconds, and waits until it has. Nil and empty stand for the container's own
// timeout and signal.
func Stop(p Paths, id, signal string, timeout *int) error {
	return stop(p, id, ask{Verb: verbStop, Signal: signal, Timeout: timeout})
}

// Down is Stop where the user's session ends, or the host goes down: a container
// that is to run unless it was stopped is started again at the next login.
func Down(p Paths, id string) error { return stop(p, id, ask{Verb: verbStop, Down: true}) }

func stop(p Paths, id string, a ask) error {
	before, _ := record.Root(p.Data).Live(id) // its monitor may do what a damaged record does not say
	err := tell(p, id, a)
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	return ended(p, id, before)
}

// ended waits until a container has come to its end, or this life of it has and
// somebody else has started it anew.
func ended(p Paths, id string, life record.State) error {
	_, err := record.Root(p.Data).WaitFor(context.Background(), id, func(s record.State, _ bool) bool {
		return !s.Status.Up() && s.Status != record.Restarting || s.Started.After(life.Started)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it removed itself (--rm)
	}
	return err
}

// Restart is Stop, with the program started anew by the same monitor. It returns
// ErrNotRunning where there is none, and once the program runs again.
func Restart(p Paths, id, signal string, timeout *int) error {
	root := record.Root(p.Data)
	before, err := root.Live(id)
	if err != nil {
		return err
	}
	if spec, err := root.Spec(id); err == nil {
		hold, err := holdNetworks(p, spec.Networks)
		if err != nil {
			return err
		}
		defer hold.release()
	}
	if err := tell(p, id, ask{Verb: verbRestart, Signal: signal, Timeout: timeout}); err != nil {
		return err
	}
	now, err := root.WaitFor(context.Background(), id, func(s record.State, alive bool) bool {
		return !alive || s.Status == record.Running && !s.Started.Equal(before.Started)
	})
	if err == nil && !now.Status.Up() && now.Error != "" {
		err = &Failure{Message: now.Error, Code: now.ExitCode}
	}
	return err
}

// AwaitExit waits for the next end of the program of a container that is up, and
// returns its exit status. It is for containers whose record goes with them
// (--rm); of others the record tells.
func AwaitExit(p Paths, id string) (int, error) {
	conn, err := dial(p, id)
	if err != nil {
		return codeEngine, err
	}
	defer conn.Close()
	if err := conn.SendJSON(kindAsk, ask{Verb: verbAttach}); err != nil {
		return codeEngine, err
	}
	for {
		kind, payload, err := conn.Recv()
		if err != nil {
			return codeSignal + int(unix.SIGKILL), nil // its monitor was killed, and it with that
		}
		switch kind {
		case kindExited:
			return exitStatus(payload)
		case kindFailed:
			return codeEngine, ErrNotRunning
		}
	}
}

// AttachTo connects the client to the program of a container that is up, and
// stays until that ends or the client leaves: see Run.
func AttachTo(p Paths, spec record.Spec, want Attach, s Streams) (int, error) {
	conn, err := dial(p, spec.ID)
	if err != nil {
		return codeEngine, err
	}
	c := newClient(want, spec.Process.TTY, s)
	c.conn = conn
	from, stdin, err := os.Pipe()
	if err != nil {
		return codeEngine, errors.Join(err, conn.Close())
	}
	c.stdin = stdin
	text, err := json.Marshal(ask{Verb: verbAttach, Attach: want, Size: TerminalSize(s.Stdin)})
	if err == nil {
		err = conn.SendFile(kindAsk, text, from)
	}
	from.Close()
	if err != nil {
		return codeEngine, errors.Join(err, conn.Close(), stdin.Close())
	}
	c.passing.Go(c.passSignals)
	status, err := c.relay()
	c.close()
	return status, err
}
