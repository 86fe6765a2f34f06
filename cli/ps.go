package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
)

// psCmd is `rootlet ps`. It reads files; no namespace, no lock.
type psCmd struct {
	All     bool `name:"all" short:"a" help:"Those that do not run, too."`
	Quiet   bool `name:"quiet" short:"q" help:"Ids only."`
	NoTrunc bool `name:"no-trunc" help:"Do not shorten."`
}

// Run prints the table.
func (c *psCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		return err
	}
	table := newTable(a.stdout)
	if !c.Quiet {
		table.row("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
	}
	damaged := 0
	for _, e := range entries {
		switch {
		case e.Err != nil:
			damaged++
			a.failed(fmt.Errorf("container %s: %w", e.ID, e.Err))
		case e.State.Status != record.Running && !c.All:
		case c.Quiet:
			table.row(c.id(e.ID))
		default:
			table.row(c.id(e.ID), e.Spec.Image, c.command(e.Spec), ago(e.Spec.Created, a.began), status(e.State, a.began), "", e.Spec.Name)
		}
	}
	if err := table.flush(); err != nil || damaged == 0 {
		return err
	}
	return exitStatus(ExitError)
}

func (c *psCmd) id(id string) string {
	if c.NoTrunc {
		return id
	}
	return id[:min(12, len(id))]
}

// command is quoted, and 20 characters long at most.
func (c *psCmd) command(s record.Spec) string {
	text := strings.Join(s.Process.Args(), " ")
	if runes := []rune(text); len(runes) > 20 && !c.NoTrunc {
		text = string(runes[:19]) + "…"
	}
	return strconv.Quote(text)
}

// status says how a container is, in Docker's words.
func status(s record.State, now time.Time) string {
	switch s.Status {
	case record.Running:
		return "Up " + units.HumanDuration(now.Sub(s.Started))
	case record.Exited:
		return fmt.Sprintf("Exited (%d) %s", s.ExitCode, ago(s.Finished, now))
	}
	return "Created"
}

func ago(then, now time.Time) string {
	if then.IsZero() {
		return "some time ago" // it was killed with its monitor: nobody saw it
	}
	return units.HumanDuration(now.Sub(then)) + " ago"
}

// table writes columns as Docker does: at least ten wide, three apart.
type table struct{ w *tabwriter.Writer }

func newTable(out interface{ Write([]byte) (int, error) }) table {
	return table{tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)}
}

func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t table) flush() error { return t.w.Flush() }
