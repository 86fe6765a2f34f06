package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// updateCmd is `rootlet update`.
type updateCmd struct {
	Containers []string `arg:"" name:"container" help:"Names or ids."`
	Restart    *string  `name:"restart" placeholder:"POLICY" help:"no, always, unless-stopped, or on-failure[:N]."`
	limitFlags
}

// Run changes the restart policy and the limits of each container, running or not, and
// prints the names of those that have them.
func (c *updateCmd) Run(a *app) error {
	if c.Restart == nil && !c.any() {
		return errors.New("you must provide one or more flags when using this command")
	}
	var policy *record.Restart
	if c.Restart != nil {
		parsed, err := record.ParseRestart(*c.Restart)
		if err != nil {
			return err
		}
		policy = &parsed
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	return a.each(c.Containers, func(given string) error {
		if err := c.update(a, paths, given, policy); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.stdout, given)
		return err
	})
}

// update writes down what is to hold from now on, and has a container that is up held to
// it at once.
func (c *updateCmd) update(a *app, paths sandbox.Paths, given string, policy *record.Restart) error {
	root := record.Root(paths.Data)
	id, err := root.Find(given)
	if err != nil {
		return err
	}
	spec, err := root.Spec(id)
	if err != nil {
		return err
	}
	if policy != nil && spec.Remove && policy.Active() {
		return fmt.Errorf("cannot update container %s: restart policy cannot be updated because --rm is enabled for the container", given)
	}
	err = root.Change(id, func(now *record.Settings) error {
		if policy != nil {
			now.Restart = *policy
		}
		if c.any() {
			limits, err := c.over(*now.Limits)
			now.Limits = &limits
			return err
		}
		return nil
	})
	if err == nil && c.any() {
		err = c.hold(a, paths, id)
	}
	if err != nil {
		return fmt.Errorf("cannot update container %s: %w", given, err)
	}
	_ = events.Append(paths.Data, events.Of(&spec, "update"))
	return nil
}

// hold has a container that is up held to its limits, and says of those that were given
// which are not.
func (c *updateCmd) hold(a *app, paths sandbox.Paths, id string) error {
	if err := sandbox.Update(paths, id); errors.Is(err, sandbox.ErrNotRunning) {
		return nil
	} else if err != nil {
		return err
	}
	now, err := record.Root(paths.Data).Live(id)
	if err != nil || !now.Status.Up() {
		return err
	}
	limits, _ := c.over(record.Limits{})
	for _, name := range limits.Names() {
		if way := now.LimitedBy[name]; way.By == "" {
			a.notice(sandbox.Unheld(name, way))
		}
	}
	return nil
}
