package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
)

// logsCmd is `rootlet logs`. It reads a file; no namespace, no lock.
type logsCmd struct {
	Container  string `arg:"" help:"Name or id."`
	Tail       string `name:"tail" short:"n" default:"all" placeholder:"N" help:"The last N lines only."`
	Timestamps bool   `name:"timestamps" short:"t" help:"Put the time before each line."`
}

// Run prints the log, each stream on its own.
func (c *logsCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	root := record.Root(paths.Data)
	id, err := root.Find(c.Container)
	if err != nil {
		return err
	}
	show := func(l logfile.Line) error { return c.show(a, l) }
	if c.Tail == "all" || c.Tail == "-1" {
		return logfile.Read(root.Dir(id), show)
	}
	n, err := strconv.Atoi(c.Tail)
	if err != nil || n < 0 {
		return fmt.Errorf("invalid --tail %q: want a number of lines, or all", c.Tail)
	}
	lines, err := logfile.Tail(root.Dir(id), n)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := show(l); err != nil {
			return err
		}
	}
	return nil
}

// nanoseconds is RFC 3339 with nine digits always, as Docker pads it.
const nanoseconds = "2006-01-02T15:04:05.000000000Z07:00"

func (c *logsCmd) show(a *app, l logfile.Line) error {
	var out io.Writer = a.stdout
	if l.Stream == logfile.Stderr {
		out = a.out
	}
	var b strings.Builder
	if c.Timestamps {
		b.WriteString(l.Time.Format(nanoseconds) + " ")
	}
	b.WriteString(l.Log)
	_, err := io.WriteString(out, b.String())
	return err
}
