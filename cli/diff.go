package cli

import (
	"bufio"

	"rootlet/sandbox"
)

// diffCmd is `rootlet diff`.
type diffCmd struct {
	Container string `arg:"" help:"Name or id."`
}

// Run lists what the container has changed in its root.
func (c *diffCmd) Run(a *app) error {
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	plan, err := a.plan(found.paths)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.stdout)
	var listed int
	err = a.have(plan, work{Paths: found.paths, Diff: &diffWork{ID: found.id}}, printChanges(out), &listed)
	if err != nil {
		return err
	}
	return out.Flush()
}

// diffWork compares a container with its image, for the worker. It only reads,
// and takes no lock: a container that runs goes on changing its files.
type diffWork struct {
	ID string `json:"id"`
}

// perFrame is how many changes go into one frame.
const perFrame = 500

func (w *diffWork) do(t *task) (any, error) {
	list, err := sandbox.Changes(t.Paths, t.store, w.ID)
	if err != nil {
		return nil, err
	}
	return t.sendChanges(list)
}
