package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
)

// logsCmd is `rootlet logs`. It reads files; no namespace, no lock.
type logsCmd struct {
	Container  string `arg:"" help:"Name or id."`
	Details    bool   `name:"details" help:"Put the labels and variables before each line that --log-opt asked for."`
	Follow     bool   `name:"follow" short:"f" help:"Go on with what is written, until the container ends."`
	Network    bool   `name:"network" help:"Where the container was kept from connecting to (--egress), instead of its output."`
	Since      string `name:"since" placeholder:"TIME" help:"What was written since: 2026-01-02T15:04:05, or 10m for ten minutes ago."`
	Tail       string `name:"tail" short:"n" default:"all" placeholder:"N" help:"The last N lines only."`
	Timestamps bool   `name:"timestamps" short:"t" help:"Put the time before each line."`
	Until      string `name:"until" placeholder:"TIME" help:"What was written until then."`
}

// errNoLog says that a container's output is not kept (--log-driver none).
var errNoLog = errors.New("configured logging driver does not support reading")

// Run prints the log, each stream on its own.
func (c *logsCmd) Run(a *app) error {
	options, err := c.options(a)
	if err != nil {
		return err
	}
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	if c.Network {
		return c.refused(a, found)
	}
	spec, err := found.spec() // a damaged record does not hide the log
	if err == nil && spec.Log.Driver == record.LogNone {
		return errNoLog
	}
	p := newLinePrinter(a)
	p.times = c.Timestamps
	if c.Details {
		if p.details, err = logDetails(&spec); err != nil {
			return err
		}
	}
	damaged, err := c.print(found.root, found.id, options, p)
	if flushErr := p.flush(); err == nil {
		err = flushErr
	}
	if damaged > 0 {
		a.notice(fmt.Sprintf("%d damaged records of the log were left out", damaged))
	}
	return err
}

func (c *logsCmd) options(a *app) (o logfile.Options, err error) {
	o.Tail = logfile.All
	if n, err := strconv.Atoi(c.Tail); err == nil && n >= 0 {
		o.Tail = n
	} else if c.Tail != "all" && err != nil {
		return o, fmt.Errorf("invalid --tail %q: want a number of lines, or all", c.Tail)
	}
	if o.Since, err = optionalWhen("--since", c.Since, a.began); err != nil {
		return o, err
	}
	o.Until, err = optionalWhen("--until", c.Until, a.began)
	return o, err
}

func (c *logsCmd) print(root record.Root, id string, o logfile.Options, p *linePrinter) (damaged int, err error) {
	if !c.Follow || !follows(root, id) {
		return logfile.Read(root.Dir(id), o, p.print)
	}
	ctx, stop := whileRead(os.Stdout)
	defer stop()
	if !o.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, o.Until)
		defer cancel()
	}
	damaged, err = logfile.Follow(ctx, root.Dir(id), o, logfile.Follower{
		Each: p.print, Idle: p.flush, Up: func(released bool) bool {
			if released {
				root.AwaitRelease(id)
			}
			return follows(root, id)
		},
	})
	if ctx.Err() != nil {
		err = nil // the time is over, or nobody reads any more
	}
	return damaged, err
}

// follows reports whether more may be written to a container's log: its program
// runs, or will, by its restart policy or because its monitor is starting it.
func follows(root record.Root, id string) bool {
	s, err := root.Live(id)
	if err != nil {
		return root.Alive(id)
	}
	return s.Status.Up() || s.Status == record.Restarting || s.Status == record.Created && root.Alive(id)
}
