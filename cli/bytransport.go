package cli

import (
	"errors"
	"fmt"

	"rootlet/fuseoverlay"
	"rootlet/pull/transport"
	"rootlet/sandbox"
	"rootlet/userns"
)

// You come here from pull, run and create, where an image is named by its
// transport, as skopeo does: oci:DIR, docker-archive:FILE and so on.

// loadOne takes one image out of files.
func (a *app) loadOne(plan *userns.Plan, paths sandbox.Paths, from transport.Name, platform string, quiet bool) (loadedImage, error) {
	w := loadWork{Path: from.Path, Kind: from.Kind, Image: from.Image, Platform: platform}
	result, err := a.load(plan, paths, w, quiet)
	if err != nil {
		return loadedImage{}, err
	}
	if len(result.Images) != 1 {
		return loadedImage{}, fmt.Errorf("%s: %d images", from, len(result.Images))
	}
	return result.Images[0], nil
}

// fillTransport takes the image out of the files that its name leads to; from
// there on it has the name that it has in the store. An image that is here by
// just that name comes first: oci:latest may be one.
func (c *newContainer) fillTransport(a *app, r *sandbox.Request) error {
	from, ok, err := transport.Parse(c.Image)
	if !ok || err != nil {
		return err
	}
	name := from.Image
	if from.Kind != transport.Registry {
		if stored, err := storedName(a.view(r.Paths), c.Image); err == nil {
			if _, err := a.view(r.Paths).Image(stored); !errors.Is(err, fuseoverlay.ErrNoImage) {
				return err
			}
		}
		plan, err := a.plan(r.Paths)
		if err != nil {
			return err
		}
		loaded, err := a.loadOne(plan, r.Paths, from, c.Platform, c.Quiet)
		if err != nil {
			return err
		}
		if name = loaded.ID; len(loaded.Names) > 0 {
			name = loaded.Names[0]
		}
	}
	c.Image, r.Spec.Image = name, name
	return nil
}

// noName says why what a user has written is no image's name, which err says too:
// for its transport, if it has one, and not for what stands after the first colon.
func noName(given string, err error) error {
	if misplaced := transport.Misplaced(given); err != nil && misplaced != nil {
		return misplaced
	}
	return err
}
