package cli

import (
	"errors"
	"fmt"
	"sync"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// rmCmd is `rootlet rm`.
type rmCmd struct {
	Containers []string `arg:"" name:"container" help:"Names or ids."`
	Force      bool     `name:"force" short:"f" help:"Kill those that run first; not to find one is no error."`
	Link       bool     `name:"link" short:"l" hidden:"" help:"Docker's links between containers: there are none here."`
	Volumes    bool     `name:"volumes" short:"v" help:"Their anonymous volumes, too."`
}

// Run removes the containers, goes on past one that cannot be, and prints the
// names of those that are gone, as they were given.
func (c *rmCmd) Run(a *app) error {
	if c.Link {
		return errors.New("--link is not supported: containers here have no links to each other")
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	found, failed := c.find(a, record.Root(paths.Data))
	ended := endAll(paths, found, c.Force)
	var w removeWork
	w.Volumes = c.Volumes
	for i, one := range found {
		if ended[i] != nil {
			a.failed(ended[i])
			failed = true
			continue
		}
		w.Containers = append(w.Containers, one)
	}
	ok, err := a.remove(paths, w, func(end removeEnd) { fmt.Fprintln(a.stdout, end.Given) })
	if err == nil && (failed || !ok) {
		err = exitStatus(ExitError)
	}
	return err
}

// find looks up what the user has named. The same container by two names is
// removed once, and printed once.
func (c *rmCmd) find(a *app, root record.Root) (found []toRemove, failed bool) {
	seen := map[string]bool{}
	for _, given := range c.Containers {
		id, err := root.Find(given)
		var missing *record.NotFoundError
		switch {
		case c.Force && errors.As(err, &missing):
			a.notice(err.Error())
		case err != nil:
			a.failed(err)
			failed = true
		case !seen[id]:
			seen[id] = true
			found = append(found, toRemove{ID: id, Given: given})
		}
	}
	return found, failed
}

// endAll kills those that run, where that is wanted, all at the same time: each
// takes a while to let go.
func endAll(paths sandbox.Paths, all []toRemove, force bool) []error {
	errs := make([]error, len(all))
	if !force {
		return errs
	}
	var ending sync.WaitGroup
	for i, one := range all {
		ending.Go(func() { errs[i] = sandbox.End(paths, one.ID) })
	}
	ending.Wait()
	return errs
}
