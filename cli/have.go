package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"rootlet/internal/failpoint"
	"rootlet/internal/stage"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/userns"
)

// You come here from a command that needs the store. Next is worker.go, in the
// process that this one starts.

// tidyWait is how long a worker may take to clear away what it has half made
// when the user breaks it off. What it leaves then, the next one finds.
const tidyWait = 900 * time.Millisecond

// have has a worker do w and decodes its result into result. event hears of
// progress; it may be nil. A signal that ends a command ends the work.
func (a *app) have(plan *userns.Plan, w work, event func([]byte), result any) error {
	return a.haveBy(plan.Start, w, event, result)
}

// haveBy is have with another way to start the worker, and with files for it,
// which it finds from descriptor 4 on.
func (a *app) haveBy(start func(userns.Command) (*os.Process, error), w work, event func([]byte), result any, files ...*os.File) error {
	conn, theirs, err := stage.Pair()
	if err != nil {
		return err
	}
	defer conn.Close()
	a.catchSignals()
	w.Driver, w.Installing = a.storageDriver, a.config.installing
	files = append([]*os.File{theirs}, files...)
	process, err := start(userns.Command{Stage: stage.Worker, Files: files, Stderr: os.Stderr})
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return a.orInterrupted(err)
	}
	failpoint.At("worker started")
	if err := conn.SendJSON(kindWork, w); err != nil {
		return a.orInterrupted(errors.Join(fmt.Errorf("worker: %w", err), died(process)))
	}
	failpoint.At("worker told")
	ended := make(chan error, 1)
	go func() { ended <- a.hear(conn, w.Paths.Data, event, result) }()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, errSilent) {
				return a.orInterrupted(died(process))
			}
			_, _ = process.Wait()
			return err
		case s := <-a.signals:
			if !sandbox.EndsWork(s) {
				continue
			}
			conn.Close() // by which the worker knows
			late := time.AfterFunc(tidyWait, func() { _ = process.Kill() })
			defer late.Stop()
			_, _ = process.Wait()
			return &interruptedError{s.(syscall.Signal)}
		}
	}
}

// orInterrupted is err, unless it came with a signal that ends the command: a
// terminal sends it to all of the process group, and a process that has just been
// started is in ours for a moment.
func (a *app) orInterrupted(err error) error {
	const lag = 50 * time.Millisecond // until the runtime has passed it on
	select {
	case s := <-a.signals:
		if sandbox.EndsWork(s) {
			return &interruptedError{s.(syscall.Signal)}
		}
	case <-time.After(lag):
	}
	return err
}

// catchSignals has the user's signals wait for whoever handles them, from here to
// the end of the process. They are caught once and never let go: in between, one
// would be lost, or end this process under the work of another.
func (a *app) catchSignals() {
	if a.signals == nil {
		a.signals = make(chan os.Signal, 64)
		signal.Notify(a.signals, sandbox.Signals()...)
	}
}

// catchSignalsSoon is catchSignals for a command that is to be quick: it waits
// for those that people send. Each costs the runtime a change of threads, so
// that all of them take longer than joining a container does.
func (a *app) catchSignalsSoon() {
	a.signals = make(chan os.Signal, 64)
	signal.Notify(a.signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGWINCH)
	go signal.Notify(a.signals, sandbox.Signals()...)
}

// errSilent says that a worker went away without its last word.
var errSilent = errors.New("worker: no answer")

// hear handles a worker's frames until its last.
func (a *app) hear(conn *stage.Conn, data string, event func([]byte), result any) error {
	for {
		kind, payload, err := conn.Recv()
		if err != nil {
			return errSilent
		}
		switch kind {
		case kindEvent:
			if event != nil {
				event(payload)
			}
		case kindNotice:
			a.notice(string(payload))
		case kindHappened:
			var e events.Event
			if err := json.Unmarshal(payload, &e); err == nil {
				_ = events.Append(data, e)
			}
		case kindDone:
			failpoint.At("worker is done")
			return json.Unmarshal(payload, result)
		case kindFailed:
			var f failed
			if err := json.Unmarshal(payload, &f); err != nil {
				return err
			}
			return f.unpacked()
		}
	}
}

// died says how a worker ended that has not said so itself.
func died(process *os.Process) error {
	state, err := process.Wait()
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return &diedError{state.String()}
}

// diedError is the death of a worker at its work.
type diedError struct{ how string }

func (e *diedError) Error() string {
	return "the process that works on the store died: " + e.how
}

// Hint says that nothing is to be repaired.
func (e *diedError) Hint() string {
	return "what it had half made is taken away by the next command; try again"
}

// interruptedError is a command that the user ended.
type interruptedError struct{ signal syscall.Signal }

func (e *interruptedError) Error() string { return "interrupted" }
