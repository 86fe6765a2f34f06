package cli

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"rootlet/fuseoverlay"
)

// imageFilterKeys are those of `images`.
var imageFilterKeys = []string{"before", "dangling", "label", "reference", "since", "until"}

// imageFilter applies the filters of `images` (moby, daemon/images/images.go).
type imageFilter struct {
	filters
	view fuseoverlay.View
	all  []fuseoverlay.Image
	now  time.Time
}

// apply lists the images that are meant, each with those of its names that are.
func (f imageFilter) apply() ([]fuseoverlay.Image, error) {
	if len(f.filters) == 0 {
		return f.all, nil
	}
	dangling, err := f.flag("dangling", false)
	if err != nil {
		return nil, err
	}
	after, before, err := f.times()
	if err != nil {
		return nil, err
	}
	for _, pattern := range f.filters["reference"] {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("invalid filter 'reference=%s': %w", pattern, err)
		}
	}
	var meant []fuseoverlay.Image
	for _, i := range f.all {
		switch {
		case f.has("dangling") && dangling != (len(i.Names) == 0),
			!after.IsZero() && !i.Created.After(after),
			!before.IsZero() && !i.Created.Before(before):
			continue
		}
		if f.has("reference") {
			if i.Names = f.named(i.Names); len(i.Names) == 0 {
				continue
			}
		}
		if f.labelled(i.ID) {
			meant = append(meant, i)
		}
	}
	return meant, nil
}

// times are those between which an image was created; zero is no bound.
func (f imageFilter) times() (after, before time.Time, err error) {
	if before, err = f.until(f.now); err != nil {
		return after, before, err
	}
	for _, given := range f.filters["before"] {
		i, err := f.image(given)
		if err != nil {
			return after, before, err
		}
		if before.IsZero() || i.Created.Before(before) {
			before = i.Created
		}
	}
	for _, given := range f.filters["since"] {
		i, err := f.image(given)
		if err != nil {
			return after, before, err
		}
		if i.Created.After(after) {
			after = i.Created
		}
	}
	return after, before, nil
}

func (f imageFilter) image(given string) (*fuseoverlay.Image, error) {
	name, err := storedName(f.view, given)
	if err != nil {
		return nil, err
	}
	i, err := f.view.Find(name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, noImage(given)
	}
	return i, err
}

// named are those of an image's names that a reference pattern matches: as a
// whole, or without the tag (distribution/reference, FamiliarMatch).
func (f imageFilter) named(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		whole := familiar(name)
		bare, _ := splitName(name)
		return !f.any("reference", func(pattern string) bool {
			pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "docker.io/library/"), "docker.io/")
			asWhole, _ := path.Match(pattern, whole)
			asBare, _ := path.Match(pattern, bare)
			return asWhole || asBare
		})
	})
}

// labelled reports whether an image has the labels. One whose configuration is
// damaged is not meant, and neither is one that has just gone.
func (f imageFilter) labelled(id string) bool {
	if !f.has("label") && !f.has("label!") {
		return true
	}
	labels, err := imageLabels(f.view, id)
	return err == nil && f.labels(labels)
}
