package cli

import (
	"bufio"
	"errors"
	"fmt"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/changes"
)

// imageDiffCmd is `rootlet image diff`.
type imageDiffCmd struct {
	Image string `arg:"" name:"image" help:"Name or id."`
	Base  string `arg:"" optional:"" name:"base" help:"The image that it is compared with; the layers below its topmost if not given."`
}

// Run lists what the image changes.
func (c *imageDiffCmd) Run(a *app) error {
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	w := imageDiffWork{GivenImage: c.Image, GivenBase: c.Base}
	if w.Image, err = storedName(a.view(paths), c.Image); err != nil {
		return err
	}
	if c.Base != "" {
		if w.Base, err = storedName(a.view(paths), c.Base); err != nil {
			return err
		}
	}
	for _, image := range []string{w.Image, w.Base} {
		if image == "" {
			continue
		}
		if err := a.adopt(plan, paths, image, "", false); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(a.stdout)
	var listed int
	if err := a.have(plan, work{Paths: paths, ImageDiff: &w}, printChanges(out), &listed); err != nil {
		return err
	}
	return out.Flush()
}

// printChanges prints what a worker tells by sendChanges.
func printChanges(out *bufio.Writer) func(part []byte) {
	return func(part []byte) {
		var list []changes.Change
		if decode(part, &list) == nil {
			for _, change := range list {
				fmt.Fprintf(out, "%s %s\n", change.Kind, printable(change.Path))
			}
		}
	}
}

// sendChanges tells the command of changes, a frame for every few hundred.
func (t *task) sendChanges(list []changes.Change) (any, error) {
	for i := 0; i < len(list); i += perFrame {
		if err := t.conn.SendJSON(kindEvent, list[i:min(i+perFrame, len(list))]); err != nil {
			return nil, err
		}
	}
	return len(list), nil
}

// imageDiffWork compares two images, for the worker: layers hold files that only
// their owners may read.
type imageDiffWork struct {
	Image      string `json:"image"`
	Base       string `json:"base,omitempty"`
	GivenImage string `json:"givenImage"`
	GivenBase  string `json:"givenBase,omitempty"`
}

func (w *imageDiffWork) do(t *task) (any, error) {
	unkeep, err := t.store.KeepImages()
	if err != nil {
		return nil, err
	}
	defer unkeep()
	image, err := t.image(w.Image, w.GivenImage)
	if err != nil {
		return nil, err
	}
	var base *fuseoverlay.Image
	if w.Base != "" {
		if base, err = t.image(w.Base, w.GivenBase); err != nil {
			return nil, err
		}
	}
	list, err := t.store.ImageChanges(image, base)
	if err != nil {
		return nil, err
	}
	return t.sendChanges(list)
}

// image finds an image by what it goes by in the store.
func (t *task) image(name, given string) (*fuseoverlay.Image, error) {
	image, err := t.store.Image(name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, noImage(given)
	}
	return image, err
}
