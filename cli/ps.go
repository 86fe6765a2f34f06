package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
)

// psCmd is `rootlet ps`. It reads files; no namespace, no lock.
type psCmd struct {
	All     bool   `name:"all" short:"a" help:"Those that do not run, too."`
	Quiet   bool   `name:"quiet" short:"q" help:"Ids only."`
	NoTrunc bool   `name:"no-trunc" help:"Do not shorten."`
	Format  string `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
}

const psColumns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

// psRow is a line of the table; its fields are those of a --format template.
type psRow struct {
	Command, CreatedAt, ID, Image, Labels, LocalVolumes, Mounts, Names string
	Networks, Platform, Ports, RunningFor, State, Status               string

	labels map[string]string // nil in the header
}

// psHeader holds the titles, in the order of psRow.
func psHeader() psRow {
	return psRow{
		Command: "COMMAND", CreatedAt: "CREATED AT", ID: "CONTAINER ID", Image: "IMAGE", Labels: "LABELS",
		LocalVolumes: "LOCAL VOLUMES", Mounts: "MOUNTS", Names: "NAMES", Networks: "NETWORKS", Platform: "PLATFORM",
		Ports: "PORTS", RunningFor: "CREATED", State: "STATE", Status: "STATUS",
	}
}

// Label is one label's value, for templates; in the header it is the last part
// of the label's name.
func (r psRow) Label(name string) string {
	return labelOf(r.labels, name)
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
	f := format{text: c.Format, columns: psColumns, quiet: c.Quiet}
	shown := printable
	if f.json() {
		shown = func(s string) string { return s } // JSON escapes by itself
	}
	var rows []any
	damaged := 0
	for _, e := range entries {
		switch {
		case e.Err != nil:
			damaged++
			a.failed(fmt.Errorf("container %s: %w", e.ID, e.Err))
		case c.All || e.State.Status == record.Running:
			rows = append(rows, c.row(e, a.began, shown))
		}
	}
	if err := f.list(a.stdout, psHeader(), rows); err != nil || damaged == 0 {
		return err
	}
	return exitStatus(ExitError)
}

func (c *psCmd) row(e record.Entry, now time.Time, shown func(string) string) psRow {
	s := e.Spec
	row := psRow{
		Command: c.command(s), CreatedAt: s.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), ID: shortID(e.ID, c.NoTrunc),
		Image: shown(s.Image), Labels: shown(labelList(s.Labels)), LocalVolumes: "0", Names: shown(s.Name),
		Networks: s.Network, RunningFor: ago(s.Created, now), State: string(e.State.Status), Status: status(e.State, now),
		labels: s.Labels,
	}
	if row.labels == nil {
		row.labels = map[string]string{}
	}
	var mounts []string
	volumes := 0
	for _, m := range s.Mounts {
		if m.Type == record.Tmpfs {
			continue
		}
		if m.Type == record.Volume {
			volumes++
		}
		mounts = append(mounts, shortMount(m.Source, c.NoTrunc))
	}
	row.Mounts, row.LocalVolumes = shown(strings.Join(mounts, ",")), strconv.Itoa(volumes)
	return row
}

// shortMount is a volume's name or a path, 15 characters long at most.
func shortMount(source string, whole bool) string {
	if runes := []rune(source); len(runes) > 15 && !whole {
		return string(runes[:14]) + "…"
	}
	return source
}

func labelList(labels map[string]string) string {
	var list []string
	for k, v := range labels {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

// command is the program and its arguments, those with a space in single quotes,
// as Docker's daemon puts them; 20 characters long at most, and quoted.
func (c *psCmd) command(s record.Spec) string {
	words := slices.Clone(s.Process.Args())
	for i, word := range words {
		if i > 0 && strings.Contains(word, " ") {
			words[i] = "'" + word + "'"
		}
	}
	text := strings.Join(words, " ")
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
