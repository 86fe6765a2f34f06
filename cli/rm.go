package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// rmCmd is `rootlet rm`.
type rmCmd struct {
	Containers []string `arg:"" name:"container" help:"Names or ids."`
	Force      bool     `name:"force" short:"f" help:"Kill those that run first; not to find one is no error."`
	Volumes    bool     `name:"volumes" short:"v" help:"Their anonymous volumes, too."`
}

// Run removes the containers one after another, goes on past one that cannot
// be, and prints the names of those that are gone.
func (c *rmCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	failed := false
	for _, given := range c.Containers {
		err := c.remove(a, paths, given)
		var missing *record.NotFoundError
		switch {
		case err == nil:
			fmt.Fprintln(a.stdout, given)
		case c.Force && errors.As(err, &missing):
			a.notice(err.Error())
		default:
			a.failed(err)
			failed = true
		}
	}
	if failed {
		return exitStatus(ExitError)
	}
	return nil
}

func (c *rmCmd) remove(a *app, paths sandbox.Paths, given string) error {
	root := record.Root(paths.Data)
	id, err := root.Find(given)
	if err != nil {
		return err
	}
	if c.Force {
		if err := sandbox.End(root, id); err != nil {
			return err
		}
	}
	plan, err := a.plan(paths)
	if err != nil {
		return err
	}
	return a.have(plan, work{Paths: paths, Remove: &removeWork{ID: id, Given: given, Volumes: c.Volumes}}, nil, new(struct{}))
}

// removeWork is the removal of one container, for the worker.
type removeWork struct {
	ID      string `json:"id"`
	Given   string `json:"given"`
	Volumes bool   `json:"volumes,omitempty"`
}

func (w *removeWork) do(paths sandbox.Paths) (any, error) {
	err := sandbox.Remove(paths, w.ID, w.Volumes)
	if errors.Is(err, record.ErrAlive) {
		return nil, &runningError{w.Given}
	}
	return struct{}{}, err
}

// runningError refuses to remove a container under its program.
type runningError struct{ given string }

func (e *runningError) Error() string {
	return fmt.Sprintf("cannot remove container %q: container is running", e.given)
}

// Hint says what to type.
func (e *runningError) Hint() string {
	return fmt.Sprintf("stop it first, or use `rootlet rm -f %s`", e.given)
}
