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

	"rootlet/sandbox"
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

// startAll starts the containers that are to run and do not, as many at a time
// as there are processors for, and prints their ids.
func (a *app) startAll() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return a.toThose(ended, 2*runtime.NumCPU(), func(_ sandbox.Paths, id string) error { return startByCommand(program, id) })
}

// stopAll ends them, in their own time, without that being the user's stop. It
// is called where the session ends; the signals with which systemd ends what is
// left know nothing of a program's own signal.
func (a *app) stopAll() error {
	alive := func(root record.Root, e record.Entry) bool { return root.Alive(e.ID) }
	return a.toThose(alive, 1<<10, sandbox.Down)
}

// ended reports whether a container's program has. Its monitor may still be tidying up,
// for which `rootlet start` waits.
func ended(_ record.Root, e record.Entry) bool { return !shownAlways(e.State.Status) }

// toThose does something to those of the containers that autostart is for, several at a
// time, and prints their ids.
func (a *app) toThose(wanted func(record.Root, record.Entry) bool, atOnce int, do func(paths sandbox.Paths, id string) error) error {
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
	var all []treated
	for _, e := range entries {
		switch {
		case e.Err != nil:
			all = append(all, treated{id: e.ID, err: e.Err})
		case startsAgain(e) && wanted(root, e):
			all = append(all, treated{id: e.ID, behind: behind(e, entries)})
		}
	}
	treatInTurn(all, atOnce, func(id string) error { return do(paths, id) })
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

// treated is what has become of one container.
type treated struct {
	id     string
	behind int // how many containers have to be up before it
	err    error
}

// behind counts the containers, one behind the other, of which one shares something:
// the one that it names, and the one that that one names.
func behind(e record.Entry, entries []record.Entry) int {
	return behindWithin(e, entries, len(entries))
}

func behindWithin(e record.Entry, entries []record.Entry, most int) int {
	if most == 0 {
		return 0
	}
	others := 0
	for _, share := range e.Spec.Shares() {
		i := slices.IndexFunc(entries, func(o record.Entry) bool { return o.ID == share.With })
		if i >= 0 {
			others = max(others, 1+behindWithin(entries[i], entries, most-1))
		}
	}
	return others
}

// treatInTurn is treatEach, those first that are behind nobody.
func treatInTurn(all []treated, atOnce int, do func(id string) error) {
	slices.SortStableFunc(all, func(a, b treated) int { return a.behind - b.behind })
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(t treated) bool { return t.behind > all[0].behind })
		if n < 0 {
			n = len(all)
		}
		treatEach(all[:n], atOnce, do)
		all = all[n:]
	}
}

// treatEach does something to those that have no error yet, several at a time.
func treatEach(all []treated, atOnce int, do func(id string) error) {
	places := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i := range all {
		if all[i].err != nil {
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			all[i].err = do(all[i].id)
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
	return printedError(output, fmt.Errorf("start: %w", err))
}

// printedError is the error that a rootlet printed which ended with err.
func printedError(output []byte, err error) error {
	for line := range strings.Lines(string(output)) {
		if text, ok := strings.CutPrefix(line, errorPrefix); ok {
			return errors.New(strings.TrimSpace(text))
		}
	}
	return err
}
