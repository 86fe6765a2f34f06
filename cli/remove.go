package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"rootlet/internal/failpoint"
	"rootlet/sandbox"
)

// removeWork is the removal of containers, for the worker: one for all of them.
type removeWork struct {
	Containers []toRemove `json:"containers"`
	sandbox.RemoveOptions
}

// toRemove is a container, and what the user called it.
type toRemove struct {
	ID    string `json:"id"`
	Given string `json:"given"`
}

// removeEnd is what has become of one container.
type removeEnd struct {
	toRemove
	Size  int64   `json:"size,omitempty"`
	Busy  bool    `json:"busy,omitempty"` // it is up
	Error *failed `json:"error,omitempty"`
}

// remove has containers removed, and calls gone with each that is, in their
// order. The errors of others are printed; it then is not ok. What somebody has
// started meanwhile is no error where nobody has named it: such work says Measure.
func (a *app) remove(paths sandbox.Paths, w removeWork, gone func(removeEnd)) (ok bool, err error) {
	if len(w.Containers) == 0 {
		return true, nil
	}
	plan, err := a.plan(paths)
	if err != nil {
		return false, err
	}
	ok = true
	err = a.have(plan, work{Paths: paths, Remove: &w}, func(payload []byte) {
		var end removeEnd
		switch err := json.Unmarshal(payload, &end); {
		case err != nil:
			a.failed(err)
			ok = false
		case end.Error == nil:
			gone(end)
		case !end.Busy || !w.Measure:
			a.failed(end.Error.unpacked())
			ok = false
		}
	}, new(struct{}))
	return ok, err
}

// atOnce is how many containers a worker removes at the same time.
const atOnce = 4

// do removes the containers. One that takes its time keeps none of the others.
func (w *removeWork) do(t *task) (any, error) {
	ends := make([]chan removeEnd, len(w.Containers))
	turns := make(chan struct{}, atOnce)
	for i, one := range w.Containers {
		ends[i] = make(chan removeEnd, 1)
		go func() {
			turns <- struct{}{}
			ends[i] <- w.one(t.Paths, one)
			<-turns
		}()
	}
	for _, end := range ends {
		if err := t.conn.SendJSON(kindEvent, <-end); err != nil {
			return nil, err
		}
	}
	return struct{}{}, nil
}

func (w *removeWork) one(paths sandbox.Paths, one toRemove) removeEnd {
	end := removeEnd{toRemove: one}
	failpoint.At("rm begins")
	var err error
	end.Size, err = sandbox.Remove(paths, one.ID, w.RemoveOptions)
	failpoint.At("rm is done")
	if err == nil {
		return end
	}
	var busy *sandbox.BusyError
	if end.Busy = errors.As(err, &busy); end.Busy {
		err = &runningError{one.Given, busy}
	}
	f := packed(err)
	end.Error = &f
	return end
}

// runningError refuses to remove a container under its program.
type runningError struct {
	given string
	busy  *sandbox.BusyError
}

func (e *runningError) Error() string {
	return fmt.Sprintf("cannot remove container %q: %v", e.given, e.busy)
}

// Hint says what to type.
func (e *runningError) Hint() string {
	return fmt.Sprintf("`rootlet rm -f %s` does both", e.given)
}
