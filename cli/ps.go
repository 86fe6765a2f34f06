package cli

import (
	"fmt"
	"slices"
	"strings"

	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// psCmd is `rootlet ps`. It reads files; no namespace, no lock. Only for sizes
// does it need a worker, because a container's files have ids of their own.
type psCmd struct {
	All     bool     `name:"all" short:"a" help:"Those that do not run, too."`
	Filter  []string `name:"filter" short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those that match."`
	Format  string   `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	Last    int      `name:"last" short:"n" default:"-1" placeholder:"N" help:"The N created last, in whatever state."`
	Latest  bool     `name:"latest" short:"l" help:"The one created last, in whatever state."`
	NoTrunc bool     `name:"no-trunc" help:"Do not shorten."`
	Quiet   bool     `name:"quiet" short:"q" help:"Ids only."`
	Size    bool     `name:"size" short:"s" help:"The size of what each has written, too."`
}

const psColumns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

// Run prints the table.
func (c *psCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	entries, damaged, err := c.entries(a, paths)
	if err != nil {
		return err
	}
	f := format{text: c.Format, columns: psColumns, quiet: c.Quiet}
	if c.Size {
		f.columns += "\t{{.Size}}"
	}
	if slices.ContainsFunc(entries, belowFull) {
		f.columns += "\t{{.Level}}"
	}
	rows := psRows{now: a.began, whole: c.NoTrunc, shown: printable}
	if f.json() {
		rows.shown = func(s string) string { return s } // JSON escapes by itself
	}
	if !c.Quiet {
		rows.images, _ = view(paths).Images() // without them an image is called as the user called it
	}
	if !c.Quiet && (c.Size || strings.Contains(c.Format, ".Size")) {
		if rows.written, err = a.written(paths, entries); err != nil {
			return err
		}
	}
	var list []any
	for _, e := range entries {
		list = append(list, rows.row(e))
	}
	if err := f.list(a.stdout, psHeader(), list); err != nil || !damaged {
		return err
	}
	return exitStatus(ExitError)
}

// entries are the containers to be listed. What is damaged is told, and counts
// as dead.
func (c *psCmd) entries(a *app, paths sandbox.Paths) (chosen []record.Entry, damaged bool, err error) {
	filter, err := parsePsFilter(paths, c.Filter)
	if err != nil {
		return nil, false, err
	}
	most := c.Last
	if c.Latest && most < 0 {
		most = 1
	}
	root := record.Root(paths.Data)
	read := root.ListAlive // a monitor lives as long as its container is up
	everything := c.All || most > 0 || filter.everything()
	if everything {
		read = root.List
	}
	entries, err := read()
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		if e.Err != nil {
			damaged = true
			a.failed(fmt.Errorf("container %s: %w", shortID(e.ID, false), e.Err))
		}
		if most > 0 && len(chosen) == most {
			continue
		}
		if (everything || shownAlways(e.State.Status)) && filter.matches(e) {
			chosen = append(chosen, e)
		}
	}
	return chosen, damaged, nil
}

// shownAlways reports whether a container is listed without --all.
func shownAlways(s record.Status) bool { return s.Up() || s == record.Restarting }

// belowFull has the table show a column that Docker's has not.
func belowFull(e record.Entry) bool {
	l := level(e.State)
	return l != "" && l != record.Full
}

// written asks a worker how much each container has written.
func (a *app) written(paths sandbox.Paths, entries []record.Entry) (map[string]int64, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	plan, err := a.plan(paths)
	if err != nil {
		return nil, err
	}
	w := &sizesWork{}
	for _, e := range entries {
		w.IDs = append(w.IDs, e.ID)
	}
	sizes := map[string]int64{}
	return sizes, a.have(plan, work{Paths: paths, Sizes: w}, nil, &sizes)
}

// sizesWork measures what containers have written, for the worker.
type sizesWork struct {
	IDs []string `json:"ids"`
}

func (w *sizesWork) do(paths sandbox.Paths) (any, error) {
	sizes := map[string]int64{}
	for _, id := range w.IDs {
		size, err := fuseoverlay.Written(record.Root(paths.Data).Dir(id))
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", shortID(id, false), err)
		}
		sizes[id] = size
	}
	return sizes, nil
}
