package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// stopCmd is `rootlet stop`.
type stopCmd struct {
	stopFlags
	Containers []string `arg:"" name:"container" help:"Names or ids."`
}

// stopFlags say how a program is brought to its end.
type stopFlags struct {
	Signal string `name:"signal" short:"s" placeholder:"SIGNAL" help:"Signal to send, instead of the container's own."`
	Time   *int   `name:"time" aliases:"timeout" short:"t" placeholder:"SECONDS" help:"Seconds to wait before it is killed (10); -1: for ever."`
}

func (f stopFlags) check() error { return sandbox.CheckSignal(f.Signal) }

// Run stops the containers. One that does not run is stopped already.
func (c *stopCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	return a.eachContainer(c.Containers, func(on container) error {
		return sandbox.Stop(on.paths, on.id, c.Signal, c.Time)
	})
}

// restartCmd is `rootlet restart`.
type restartCmd struct {
	stopFlags
	Containers []string `arg:"" name:"container" help:"Names or ids."`
}

// Run stops the containers that run, and starts all.
func (c *restartCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	return a.eachContainer(c.Containers, func(on container) error {
		err := c.restart(on)
		if errors.Is(err, sandbox.ErrNotRunning) {
			_, err = a.start(on.given, sandbox.Attach{}, a.streams(true))
		}
		return asError(err)
	})
}

// restart has the container's monitor start it again, unless that could not join the
// network that it shares: then another one has to.
func (c *restartCmd) restart(on container) error {
	spec, err := on.spec()
	if err != nil {
		return err
	}
	if spec.Remove || !sandbox.Astray(record.Root(on.paths.Data), &spec) {
		return sandbox.Restart(on.paths, on.id, c.Signal, c.Time)
	}
	if err := sandbox.Stop(on.paths, on.id, c.Signal, c.Time); err != nil {
		return err
	}
	return sandbox.ErrNotRunning
}

// killCmd is `rootlet kill`.
type killCmd struct {
	Signal     string   `name:"signal" short:"s" default:"KILL" placeholder:"SIGNAL" help:"Signal to send."`
	Containers []string `arg:"" name:"container" help:"Names or ids."`
}

// Run sends a signal to the programs of containers.
func (c *killCmd) Run(a *app) error {
	if _, err := sandbox.ParseSignal(c.Signal); err != nil {
		return err
	}
	return a.eachContainer(c.Containers, func(on container) error {
		if err := sandbox.Kill(on.paths, on.id, c.Signal); err != nil {
			return fmt.Errorf("cannot kill container: %s: %w", on.given, named(err, on.id))
		}
		return nil
	})
}

// pauseCmd is `rootlet pause`.
type pauseCmd struct {
	Containers []string `arg:"" name:"container" help:"Names or ids."`
}

// Run holds the processes of containers still, and says what does where it is not
// the freezer, which no process notices.
func (c *pauseCmd) Run(a *app) error {
	return a.eachContainer(c.Containers, func(on container) error {
		if err := sandbox.Pause(on.paths, on.id); err != nil {
			return fmt.Errorf("cannot pause container %s: %w", on.given, named(err, on.id))
		}
		if now, err := on.live(); err == nil && now.PausedBy != "" && now.Cgroup == "" && now.Cgroups["freezer"] == "" {
			a.notice(fmt.Sprintf("%s is held by %s: this host gives it no cgroup that could be frozen", on.given, now.PausedBy))
		}
		return nil
	})
}

// unpauseCmd is `rootlet unpause`.
type unpauseCmd struct {
	Containers []string `arg:"" name:"container" help:"Names or ids."`
}

// Run lets the processes of containers go on.
func (c *unpauseCmd) Run(a *app) error {
	return a.eachContainer(c.Containers, func(on container) error {
		if err := sandbox.Unpause(on.paths, on.id); err != nil {
			return fmt.Errorf("cannot unpause container %s: %w", on.given, named(err, on.id))
		}
		return nil
	})
}

// named is Docker's wording of ErrNotRunning.
func named(err error, id string) error {
	if errors.Is(err, sandbox.ErrNotRunning) {
		return fmt.Errorf("container %s is not running", id)
	}
	return asError(err)
}

// eachContainer does something to one container after another and prints the
// names, as given, of those that it was done to.
func (a *app) eachContainer(names []string, do func(container) error) error {
	return a.each(names, func(given string) error {
		found, err := findContainer(given)
		if err == nil {
			err = do(found)
		}
		if err == nil {
			_, err = fmt.Fprintln(a.stdout, given)
		}
		return err
	})
}
