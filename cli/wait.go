package cli

import (
	"errors"
	"fmt"
	"io/fs"

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
	root := record.Root(paths.Data)
	return a.each(c.Containers, func(given string) error {
		id, err := root.Find(given)
		if err != nil {
			return err
		}
		status, err := c.wait(root, id)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, status)
		return err
	})
}

func (c *waitCmd) wait(root record.Root, id string) (int, error) {
	first, err := root.Live(id)
	if err != nil {
		return 0, err
	}
	last := first
	_, err = root.WaitFor(id, func(s record.State, _ bool) bool {
		if s.Version != 0 {
			last = s
		}
		switch c.Condition {
		case "removed":
			return false
		case "next-exit":
			return !s.Status.Up() && (first.Status.Up() || !s.Finished.Equal(first.Finished))
		}
		return !s.Status.Up() && s.Status != record.Restarting
	})
	if errors.Is(err, fs.ErrNotExist) && (c.Condition == "removed" || last.Status != record.Created) {
		return last.ExitCode, nil
	}
	return last.ExitCode, err
}
