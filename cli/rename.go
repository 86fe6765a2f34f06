package cli

import (
	"errors"

	"rootlet/sandbox/events"
)

// renameCmd is `rootlet rename`.
type renameCmd struct {
	Container string `arg:"" help:"Name or id."`
	NewName   string `arg:"" name:"new-name" help:"What it is called from now on."`
}

// Run gives the container its new name, running or not.
func (c *renameCmd) Run(a *app) error {
	if c.Container == "" || c.NewName == "" {
		return errors.New("neither old nor new names may be empty")
	}
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	before, err := found.spec()
	if err != nil {
		return err
	}
	if err := found.root.Rename(found.id, c.NewName); err != nil {
		return err
	}
	if now, err := found.spec(); err == nil {
		for _, in := range now.Networks {
			if err := found.paths.Networks().Rename(in.Network, found.id, now.Name); err != nil {
				a.failed(err)
			}
		}
		_ = events.Append(found.paths.Data, events.Of(&now, "rename", "oldName", "/"+before.Name))
	}
	return nil
}
