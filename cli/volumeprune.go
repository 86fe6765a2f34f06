package cli

import (
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
	"rootlet/userns"
)

// volumePruneCmd is `rootlet volume prune`.
type volumePruneCmd struct {
	All    bool     `name:"all" short:"a" help:"Those with a name, too."`
	Filter []string `name:"filter" sep:"none" placeholder:"KEY=VALUE" help:"label or label!."`
	Force  bool     `name:"force" short:"f" help:"Do not ask."`
}

// Run removes the volumes that no container has: those whose name nobody chose,
// or all.
func (c *volumePruneCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "all", "label", "label!")
	if err != nil {
		return err
	}
	all, err := f.flag("all", c.All)
	if err != nil {
		return err
	}
	warning := "WARNING! This will remove anonymous local volumes not used by at least one container."
	if all {
		warning = "WARNING! This will remove all local volumes not used by at least one container."
	}
	if err := a.confirm(c.Force, warning); err != nil {
		return err
	}
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	bytes, err := a.pruneVolumes(plan, paths, all, f)
	if err != nil {
		return err
	}
	return a.printReclaimed(bytes)
}

// pruneVolumes removes the volumes that no container has, lists them, and
// returns what they took. One that a container takes meanwhile stays.
func (a *app) pruneVolumes(plan *userns.Plan, paths sandbox.Paths, all bool, f filters) (int64, error) {
	names, err := unusedVolumes(paths, all, f)
	if err != nil || len(names) == 0 {
		return 0, err
	}
	var ends []volumeEnd
	if err := a.have(plan, work{Paths: paths, Volumes: &volumesWork{Names: names, Measure: true}}, nil, &ends); err != nil {
		return 0, err
	}
	var gone []string
	var bytes int64
	for _, end := range ends {
		switch {
		case end.Error == nil:
			gone = append(gone, end.Name)
			bytes += end.Size
		case !end.Missing && !end.InUse:
			a.failed(end.Error.unpacked())
		}
	}
	return bytes, a.printDeleted("Deleted Volumes:", gone)
}

// unusedVolumes lists those that a prune removes. A volume whose record is
// damaged stays: what it was is not known.
func unusedVolumes(paths sandbox.Paths, all bool, f filters) ([]string, error) {
	containers, err := knownContainers(record.Root(paths.Data))
	if err != nil {
		return nil, err
	}
	users := volume.UsedBy(containers)
	store := volume.In(paths.Data)
	entries, err := store.List()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		unused := e.Err == nil && len(users[e.Name]) == 0
		if unused && (all || e.Anonymous) && f.labels(describeVolume(store, e.Volume).Labels) {
			names = append(names, e.Name)
		}
	}
	return names, nil
}
