package cli

import (
	"fmt"
	"strconv"

	"rootlet/cli/inspect"
)

// networkLsCmd is `rootlet network ls`. It reads files; no namespace, no lock.
type networkLsCmd struct {
	Filter  []string `name:"filter" short:"f" sep:"none" placeholder:"KEY=VALUE" help:"dangling, driver, id, label, name, scope or type."`
	Format  string   `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	NoTrunc bool     `name:"no-trunc" help:"Whole ids."`
	Quiet   bool     `name:"quiet" short:"q" help:"Ids only."`
}

const networkColumns = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"

// networkRow is a line of the table; its fields are those of a --format template.
type networkRow struct {
	CreatedAt, Driver, ID, IPv4, IPv6, Internal, Labels, Name, Scope string

	labels map[string]string // nil in the header
}

// Label is one label's value, for templates.
func (r networkRow) Label(name string) string { return labelOf(r.labels, name) }

// Run prints the table: the networks with a name, and what else --network takes.
func (c *networkLsCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "dangling", "driver", "id", "label", "name", "scope", "type")
	if err != nil {
		return err
	}
	dangling, err := f.flag("dangling", false)
	if err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	entries, err := paths.Networks().List()
	if err != nil {
		return err
	}
	var users map[string][]string
	if f.has("dangling") {
		if users, err = networkUsers(paths); err != nil {
			return err
		}
	}
	var all []inspect.Network
	var damaged []string
	for _, e := range entries {
		if e.Err != nil {
			damaged = append(damaged, e.Err.Error())
			continue
		}
		all = append(all, inspect.Shared(e.Network, nil))
	}
	for _, name := range inspect.Networks() {
		all = append(all, inspect.NetworkOf(name, nil))
	}
	var rows []any
	for _, n := range all {
		if f.has("dangling") && dangling != (len(users[n.Name]) == 0 && !inspect.Always(n.Name)) {
			continue
		}
		kind := "custom"
		if inspect.Always(n.Name) {
			kind = "builtin"
		}
		if f.is("driver", n.Driver) && f.any("id", within(n.ID)) && f.labels(n.Labels) && f.any("name", within(n.Name)) &&
			f.is("scope", n.Scope) && f.is("type", kind) {
			rows = append(rows, c.row(n))
		}
	}
	header := networkRow{
		CreatedAt: "CREATED AT", Driver: "DRIVER", ID: "NETWORK ID", IPv4: "IPV4", IPv6: "IPV6", Internal: "INTERNAL", Labels: "LABELS",
		Name: "NAME", Scope: "SCOPE",
	}
	if err := (format{text: c.Format, columns: networkColumns, quiet: c.Quiet}).list(a.stdout, header, rows); err != nil {
		return err
	}
	return a.each(damaged, func(text string) error { return fmt.Errorf("%s", text) })
}

func (c *networkLsCmd) row(n inspect.Network) networkRow {
	return networkRow{
		CreatedAt: n.Created, Driver: n.Driver, ID: shortID(n.ID, c.NoTrunc), IPv4: strconv.FormatBool(n.EnableIPv4),
		IPv6: strconv.FormatBool(n.EnableIPv6), Internal: strconv.FormatBool(n.Internal), Labels: printable(labelList(n.Labels)),
		Name: n.Name, Scope: n.Scope, labels: n.Labels,
	}
}
