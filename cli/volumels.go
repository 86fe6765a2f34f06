package cli

import (
	"fmt"
	"regexp"
	"strings"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// volumeLsCmd is `rootlet volume ls`. It reads files; no namespace, no lock.
type volumeLsCmd struct {
	Filter []string `name:"filter" short:"f" sep:"none" placeholder:"KEY=VALUE" help:"dangling, driver, label or name."`
	Format string   `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	Quiet  bool     `name:"quiet" short:"q" help:"Names only."`
}

const volumeColumns = "{{.Driver}}\t{{.Name}}"

// volumeRow is a line of the table; its fields are those of a --format template.
type volumeRow struct {
	Availability, Driver, Group, Labels, Links, Mountpoint, Name, Scope, Size, Status string

	labels map[string]string // nil in the header
}

func volumeHeader() volumeRow {
	return volumeRow{
		Availability: "AVAILABILITY", Driver: "DRIVER", Group: "GROUP", Labels: "LABELS", Links: "LINKS", Mountpoint: "MOUNTPOINT",
		Name: "VOLUME NAME", Scope: "SCOPE", Size: "SIZE", Status: "STATUS",
	}
}

// ID is what --quiet prints.
func (r volumeRow) ID() string { return r.Name }

// Label is one label's value, for templates.
func (r volumeRow) Label(name string) string { return labelOf(r.labels, name) }

// Run prints the table.
func (c *volumeLsCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "dangling", "driver", "label", "name")
	if err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	found, damaged, err := findVolumes(paths, f)
	if err != nil {
		return err
	}
	var rows []any
	for _, v := range found {
		rows = append(rows, v.row())
	}
	if err := (format{text: c.Format, columns: volumeColumns, quiet: c.Quiet}).list(a.stdout, volumeHeader(), rows); err != nil {
		return err
	}
	return a.each(damaged, func(text string) error { return fmt.Errorf("%s", text) })
}

// findVolumes lists the volumes that a filter leaves, and what is wrong with
// those whose record cannot be read.
func findVolumes(paths sandbox.Paths, f filters) (found []volumeInfo, damaged []string, err error) {
	dangling, err := f.flag("dangling", false)
	if err != nil {
		return nil, nil, err
	}
	store := volume.In(paths.Data)
	entries, err := store.List()
	if err != nil {
		return nil, nil, err
	}
	var users map[string][]string
	if f.has("dangling") {
		if users, err = volume.Users(record.Root(paths.Data)); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range entries {
		v := describeVolume(store, e.Volume)
		switch {
		case e.Err != nil:
			damaged = append(damaged, e.Err.Error())
		case f.has("dangling") && dangling != (len(users[e.Name]) == 0):
		case f.is("driver", v.Driver) && f.labels(v.Labels) && f.any("name", within(v.Name)):
			found = append(found, v)
		}
	}
	return found, damaged, nil
}

// within matches a name by a part of it, or by a regular expression (moby's
// filters take either).
func within(name string) func(string) bool {
	return func(want string) bool {
		matched, err := regexp.MatchString(want, name)
		return err == nil && matched || strings.Contains(name, want)
	}
}

// unknown stands for what a list does not look for.
const unknown = "N/A"

func (v volumeInfo) row() volumeRow {
	row := volumeRow{
		Availability: unknown, Driver: v.Driver, Group: unknown, Labels: printable(labelList(v.Labels)), Links: unknown,
		Mountpoint: printable(v.Mountpoint), Name: v.Name, Scope: v.Scope, Size: unknown, Status: unknown, labels: v.Labels,
	}
	if row.labels == nil {
		row.labels = map[string]string{}
	}
	return row
}
