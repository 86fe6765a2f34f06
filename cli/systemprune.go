package cli

import (
	"errors"
	"slices"
	"strings"

	"rootlet/sandbox"
)

// systemPruneCmd is `rootlet system prune`.
type systemPruneCmd struct {
	All     bool     `name:"all" short:"a" help:"Images with a name, too."`
	Filter  []string `name:"filter" sep:"none" placeholder:"KEY=VALUE" help:"until, label or label!."`
	Force   bool     `name:"force" short:"f" help:"Do not ask."`
	Volumes bool     `name:"volumes" help:"Anonymous volumes, too."`
}

// Run removes stopped containers first, so that what only they needed goes too.
func (c *systemPruneCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "label", "label!", "until")
	if err != nil {
		return err
	}
	if c.Volumes && f.has("until") {
		return errors.New(`the "until" filter is not supported with "--volumes"`)
	}
	if _, err := f.until(a.began); err != nil {
		return err
	}
	if err := a.confirm(c.Force, c.warning()); err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	bytes, ok, err := c.prune(a, paths, f)
	if err != nil {
		return err
	}
	if err := a.printReclaimed(bytes); err != nil || ok {
		return err
	}
	return exitStatus(ExitError)
}

// warning says what is going to happen, as Docker does. There is no build cache yet.
func (c *systemPruneCmd) warning() string {
	lines := []string{"all stopped containers", "all networks not used by at least one container"}
	if c.Volumes {
		lines = append(lines, "all anonymous volumes not used by at least one container")
	}
	if c.All {
		lines = append(lines, "all images without at least one container associated to them", "all build cache")
	} else {
		lines = append(lines, "all dangling images", "unused build cache")
	}
	text := "WARNING! This will remove:\n  - " + strings.Join(lines, "\n  - ") + "\n"
	if len(c.Filter) > 0 {
		text += "\n  Items to be pruned will be filtered with:\n  - " + strings.Join(slices.Sorted(slices.Values(c.Filter)), "\n  - ") + "\n"
	}
	return text
}

// prune returns what was freed; not ok says that a container could not be
// removed, which has been printed.
func (c *systemPruneCmd) prune(a *app, paths sandbox.Paths, f filters) (bytes int64, ok bool, err error) {
	bytes, ok, err = a.pruneContainers(paths, f)
	if err != nil {
		return bytes, ok, err
	}
	if err := a.pruneNetworks(paths, f); err != nil {
		return bytes, ok, err
	}
	plan, err := a.plan(paths)
	if err != nil {
		return bytes, ok, err
	}
	if c.Volumes {
		freed, err := a.pruneVolumes(plan, paths, false, f)
		if err != nil {
			return bytes, ok, err
		}
		bytes += freed
	}
	freed, err := a.pruneImages(plan, paths, c.All, f)
	return bytes + freed, ok, err
}
