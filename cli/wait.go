package cli

import (
	"context"
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
	return a.each(c.Containers, func(given string) error {
		on, err := findContainer(given)
		if err != nil {
			return err
		}
		status, err := c.wait(on)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, status)
		return err
	})
}

func (c *waitCmd) wait(on container) (int, error) {
	first, err := on.live()
	if err != nil {
		return 0, err
	}
	status := first.ExitCode
	if spec, err := on.spec(); err == nil && spec.Remove && first.Status.Up() {
		if status, err = sandbox.AwaitExit(on.paths, on.id); err == nil && c.Condition != "removed" {
			return status, nil
		}
	}
	_, err = on.root.WaitFor(context.Background(), on.id, func(s record.State, _ bool) bool {
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
