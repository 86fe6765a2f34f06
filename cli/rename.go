package cli

import (
	"errors"

	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// renameCmd is `rootlet rename`.
type renameCmd struct {
	Container string `arg:"" help:"Name or id."`
	NewName   string `arg:"" name:"new-name" help:"What it is called from now on."`
}

// Run gives the container its new name, running or not.
func (c *renameCmd) Run(*app) error {
	if c.Container == "" || c.NewName == "" {
		return errors.New("neither old nor new names may be empty")
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	root := record.Root(paths.Data)
	id, err := root.Find(c.Container)
	if err != nil {
		return err
	}
	before, err := root.Spec(id)
	if err != nil {
		return err
	}
	if err := root.Rename(id, c.NewName); err != nil {
		return err
	}
	if now, err := root.Spec(id); err == nil {
		_ = events.Append(paths.Data, events.Of(&now, "rename", "oldName", "/"+before.Name))
	}
	return nil
}
