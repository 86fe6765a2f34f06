package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"rootlet/sandbox/record"
)

// You come here from systemautostart.go, or from the unit that it writes.

// startsAgain reports whether a container is one of those that autostart is for:
// by its restart policy, if it was ever started, and as Docker's daemon decides
// when it starts.
func startsAgain(e record.Entry) bool {
	if e.State.Started.IsZero() {
		return false
	}
	switch e.Spec.Restart.Policy {
	case record.RestartAlways:
		return true
	case record.RestartUnlessStopped:
		return !e.State.Stopped
	}
	return false
}

// startAll starts the containers that are to run and do not, side by side, and
// prints their names.
func (a *app) startAll() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	root := record.Root(paths.Data)
	entries, err := root.List()
	if err != nil {
		return err
	}
	slices.Reverse(entries) // the oldest first
	var all []started
	for _, e := range entries {
		switch {
		case e.Err != nil:
			all = append(all, started{e.ID, e.Err})
		case startsAgain(e) && !root.Alive(e.ID):
			all = append(all, started{id: e.ID})
		}
	}
	startEach(all, func(id string) error { return startByCommand(program, id) })
	var ids []string
	failures := map[string]error{}
	for _, s := range all {
		ids = append(ids, s.id)
		failures[s.id] = s.err
	}
	return a.each(ids, func(id string) error {
		if err := failures[id]; err != nil {
			return fmt.Errorf("container %s: %w", shortID(id, false), err)
		}
		_, err := fmt.Fprintln(a.stdout, id)
		return err
	})
}

// started is what has become of one container.
type started struct {
	id  string
	err error
}

// startEach starts those that have no error yet, as many at a time as there are
// processors for.
func startEach(all []started, start func(id string) error) {
	places := make(chan struct{}, 2*runtime.NumCPU())
	var running sync.WaitGroup
	for i := range all {
		if all[i].err != nil {
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			all[i].err = start(all[i].id)
			<-places
		})
	}
	running.Wait()
}

// startWait is how long one `rootlet start` may take.
const startWait = 2 * time.Minute

// startByCommand runs `rootlet start`, whose error is the last line it prints.
func startByCommand(program, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, "start", id).CombinedOutput()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(string(output)) {
		if text, ok := strings.CutPrefix(line, errorPrefix); ok {
			return errors.New(strings.TrimSpace(text))
		}
	}
	return fmt.Errorf("start: %w", err)
}
