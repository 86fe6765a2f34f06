package cli

import (
	"errors"
	"fmt"

	"rootlet/fuseoverlay"
	"rootlet/pull"
)

// tagCmd is `rootlet tag`.
type tagCmd struct {
	Image  string `arg:"" name:"image" help:"Name or id of the image."`
	Target string `arg:"" name:"target" help:"REPOSITORY[:TAG] that it gets."`
}

// Run gives an image one more name.
func (c *tagCmd) Run(a *app) error {
	target, err := pull.ParseReference(c.Target)
	if err != nil {
		return noName(c.Target, err)
	}
	if target.Digest() != "" {
		return fmt.Errorf("%s: a name that is given to an image cannot have a digest", c.Target)
	}
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	source, err := storedName(a.view(paths), c.Image)
	if err != nil {
		return err
	}
	if err := a.adopt(plan, paths, source, "", false); err != nil {
		return err
	}
	var done struct{}
	return a.have(plan, work{Paths: paths, Tag: &tagWork{Image: source, Given: c.Image, Name: target.Name()}}, nil, &done)
}

// tagWork names an image, for the worker.
type tagWork struct {
	Image string `json:"image"`
	Given string `json:"given"`
	Name  string `json:"name"`
}

func (w *tagWork) do(t *task) (any, error) {
	image, err := t.store.TagImage(w.Image, w.Name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, noImage(w.Given)
	}
	if err != nil {
		return nil, err
	}
	t.imageEvent("tag", image.ID, familiar(w.Name))
	return struct{}{}, nil
}
