package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// startCmd is `rootlet start`.
type startCmd struct {
	Containers  []string `arg:"" name:"container" help:"Names or ids."`
	Attach      bool     `name:"attach" short:"a" help:"Show what it writes, pass signals on, and exit as it does."`
	DetachKeys  string   `name:"detach-keys" default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that leave the container running."`
	Interactive bool     `name:"interactive" short:"i" help:"Attach standard input."`
}

// Run starts containers that do not run; one that does is left alone.
func (c *startCmd) Run(a *app) error {
	if !c.Attach && !c.Interactive {
		return a.each(c.Containers, func(given string) error {
			if _, err := a.start(given, sandbox.Attach{}, a.streams(true)); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.stdout, given)
			return err
		})
	}
	if len(c.Containers) > 1 {
		return errors.New("you cannot start and attach multiple containers at once")
	}
	streams := a.streams(true)
	var err error
	if streams.DetachKeys, err = sandbox.ParseDetachKeys(c.DetachKeys); err != nil {
		return err
	}
	status, err := a.start(c.Containers[0], sandbox.Attach{Stdin: c.Interactive, Output: true}, streams)
	if err != nil {
		return err
	}
	return exitStatus(status)
}

// start starts a container, or attaches to it where it runs already.
func (a *app) start(given string, want sandbox.Attach, s sandbox.Streams) (int, error) {
	found, err := findContainer(given)
	if err != nil {
		return ExitError, err
	}
	spec, err := found.spec()
	if err != nil {
		return ExitError, err
	}
	want.Stdin = want.Stdin && spec.Interactive
	plan, err := a.plan(found.paths)
	if err == nil {
		found.paths, err = a.settle(plan, found.paths)
	}
	if err != nil {
		return ExitError, err
	}
	r := sandbox.Request{Start: found.id, Attach: want, Spec: spec, Paths: found.paths, Host: a.host(plan)}
	if want.Output && spec.Process.TTY {
		r.Size = sandbox.TerminalSize(a.stdin)
	}
	s.Created = func(string) error { return nil }
	status, err := a.sandbox(plan, r, s)
	if errors.Is(err, record.ErrAlive) {
		if want == (sandbox.Attach{}) {
			return 0, nil
		}
		return sandbox.AttachTo(found.paths, spec, want, s)
	}
	return status, asError(err)
}

// asError has a container's failure exit with 1, as that of all commands but run
// and create does.
func asError(err error) error {
	var f *sandbox.Failure
	if !errors.As(err, &f) {
		return err
	}
	plain := *f
	plain.Code = ExitError
	return &plain
}
