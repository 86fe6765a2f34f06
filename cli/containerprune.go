package cli

import (
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// containerPruneCmd is `rootlet container prune`.
type containerPruneCmd struct {
	Filter []string `name:"filter" sep:"none" placeholder:"KEY=VALUE" help:"Only those: until, label or label!."`
	Force  bool     `name:"force" short:"f" help:"Do not ask."`
}

// Run removes all containers that are not up.
func (c *containerPruneCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "label", "label!", "until")
	if err != nil {
		return err
	}
	if _, err := f.until(a.began); err != nil {
		return err
	}
	if err := a.confirm(c.Force, "WARNING! This will remove all stopped containers."); err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	bytes, ok, err := a.pruneContainers(paths, f)
	if err != nil {
		return err
	}
	if err := a.printReclaimed(bytes); err != nil || ok {
		return err
	}
	return exitStatus(ExitError)
}

// pruneContainers removes the containers that are not up, lists them, and
// returns what they had written. One that is started meanwhile stays. It is not
// ok where one could not be removed; that has been printed.
func (a *app) pruneContainers(paths sandbox.Paths, f filters) (bytes int64, ok bool, err error) {
	w := removeWork{RemoveOptions: sandbox.RemoveOptions{Measure: true}}
	if w.Containers, err = a.stopped(record.Root(paths.Data), f); err != nil {
		return 0, false, err
	}
	var gone []string
	ok, err = a.remove(paths, w, func(end removeEnd) {
		gone = append(gone, end.ID)
		bytes += end.Size
	})
	if printErr := a.printDeleted("Deleted Containers:", gone); err == nil {
		err = printErr
	}
	return bytes, ok, err
}

// stopped lists the containers that are not up. One whose record is damaged is
// none: what it was is not known, and who wants it gone can say so.
func (a *app) stopped(root record.Root, f filters) ([]toRemove, error) {
	entries, err := root.List()
	if err != nil {
		return nil, err
	}
	before, err := f.until(a.began)
	if err != nil {
		return nil, err
	}
	var found []toRemove
	for _, e := range entries {
		up := e.State.Status.Up() || e.State.Status == record.Restarting || e.State.Status == record.Created && root.Alive(e.ID)
		late := !before.IsZero() && e.Spec.Created.After(before)
		if e.Err == nil && !up && !late && f.labels(e.Spec.Labels) {
			found = append(found, toRemove{ID: e.ID, Given: e.Spec.Name})
		}
	}
	return found, nil
}
