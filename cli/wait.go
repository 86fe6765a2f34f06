package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// waitCmd is `rootlet wait`. It is told by the kernel when a record changes, and
// disturbs nobody.
type waitCmd struct {
	Condition  string   `name:"condition" default:"not-running" enum:"not-running,next-exit,removed" help:"not-running, next-exit or removed."`
	Containers []string `arg:"" name:"container" help:"Names or ids."`
}

// Run waits for one container after another and prints their exit codes.
func (c *waitCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	return a.each(c.Containers, func(given string) error {
		id, err := record.Root(paths.Data).Find(given)
		if err != nil {
			return err
		}
		status, err := c.wait(paths, id)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, status)
		return err
	})
}

func (c *waitCmd) wait(paths sandbox.Paths, id string) (int, error) {
	root := record.Root(paths.Data)
	first, err := root.Live(id)
	if err != nil {
		return 0, err
	}
	status := first.ExitCode
	if spec, err := root.Spec(id); err == nil && spec.Remove && first.Status.Up() {
		if status, err = sandbox.AwaitExit(paths, id); err == nil && c.Condition != "removed" {
			return status, nil
		}
	}
	_, err = root.WaitFor(id, func(s record.State, _ bool) bool {
		if !s.Status.Up() {
			status = s.ExitCode
		}
		return c.met(first, s)
	})
	if errors.Is(err, fs.ErrNotExist) && c.Condition == "removed" {
		return status, nil
	}
	return status, err
}

// met reports whether what is waited for has come about since first.
func (c *waitCmd) met(first, now record.State) bool {
	switch c.Condition {
	case "removed":
		return false
	case "next-exit":
		return !now.Status.Up() && !now.Finished.Equal(first.Finished)
	}
	return !now.Status.Up() && now.Status != record.Restarting
}
