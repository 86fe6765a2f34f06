package cli

import (
	"errors"
	"fmt"
	"time"

	"rootlet/cli/inspect"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/slirp/bridge"
)

// networkRmCmd is `rootlet network rm`.
type networkRmCmd struct {
	Networks []string `arg:"" name:"network" help:"Names or ids."`
	Force    bool     `name:"force" short:"f" help:"Not to find one is no error."`
}

// Run removes the networks one after another, goes on past one that cannot be, and
// prints the names of those that are gone.
func (c *networkRmCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	return a.each(c.Networks, func(given string) error {
		if inspect.Always(given) {
			return fmt.Errorf("network %s is always there: it cannot be removed", given)
		}
		n, err := findNetwork(paths, given)
		if err == nil {
			err = removeNetwork(paths, n)
		}
		var missing *noNetworkError
		var gone *bridge.NotFoundError
		if c.Force && (errors.As(err, &missing) || errors.As(err, &gone)) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, given)
		return err
	})
}

func removeNetwork(paths sandbox.Paths, n bridge.Network) error {
	err := paths.Networks().Remove(n.Name, func() ([]string, error) {
		users, err := networkUsers(paths)
		return users[n.Name], err
	})
	if err == nil {
		_ = events.Append(paths.Data, networkEvent("destroy", n, ""))
	}
	return err
}

// networkPruneCmd is `rootlet network prune`.
type networkPruneCmd struct {
	Filter []string `name:"filter" sep:"none" placeholder:"KEY=VALUE" help:"label, label! or until."`
	Force  bool     `name:"force" short:"f" help:"Do not ask."`
}

// Run removes the networks that no container has.
func (c *networkPruneCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "label", "label!", "until")
	if err != nil {
		return err
	}
	if err := a.confirm(c.Force, "WARNING! This will remove all custom networks not used by at least one container."); err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	return a.pruneNetworks(paths, f)
}

// pruneNetworks removes the networks that no container has, and lists them.
func (a *app) pruneNetworks(paths sandbox.Paths, f filters) error {
	until, err := f.until(time.Now())
	if err != nil {
		return err
	}
	users, err := networkUsers(paths)
	if err != nil {
		return err
	}
	entries, err := paths.Networks().List()
	if err != nil {
		return err
	}
	var gone []string
	for _, e := range entries {
		if e.Err != nil || len(users[e.Name]) > 0 || inspect.Always(e.Name) || !f.labels(e.Labels) || !until.IsZero() && e.Created.After(until) {
			continue
		}
		err := removeNetwork(paths, e.Network)
		var inUse *bridge.InUseError
		var missing *bridge.NotFoundError
		switch {
		case err == nil:
			gone = append(gone, e.Name)
		case !errors.As(err, &inUse) && !errors.As(err, &missing):
			a.failed(err)
		}
	}
	return a.printDeleted("Deleted Networks:", gone)
}
