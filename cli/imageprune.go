package cli

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// imagePruneCmd is `rootlet image prune`.
type imagePruneCmd struct {
	All    bool     `name:"all" short:"a" help:"Those with a name, too."`
	Filter []string `name:"filter" sep:"none" placeholder:"KEY=VALUE" help:"until, label or label!."`
	Force  bool     `name:"force" short:"f" help:"Do not ask."`
}

// Run removes the images that no container is made of: those without a name, or
// all.
func (c *imagePruneCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, "dangling", "label", "label!", "until")
	if err != nil {
		return err
	}
	dangling, err := f.flag("dangling", !c.All)
	if err != nil {
		return err
	}
	if _, err := f.until(a.began); err != nil {
		return err
	}
	warning := "WARNING! This will remove all dangling images."
	if !dangling {
		warning = "WARNING! This will remove all images without at least one container associated to them."
	}
	if err := a.confirm(c.Force, warning); err != nil {
		return err
	}
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	bytes, err := a.pruneImages(plan, paths, !dangling, f)
	if err != nil {
		return err
	}
	return a.printReclaimed(bytes)
}

// pruneImages removes images, lists them, and returns what the layers took that
// are gone with them.
func (a *app) pruneImages(plan *userns.Plan, paths sandbox.Paths, all bool, f filters) (int64, error) {
	ids, err := unusedImages(paths, all, f, a.began)
	if err != nil {
		return 0, err
	}
	before, err := view(paths).Layers()
	if err != nil {
		return 0, err
	}
	var gone prunedImages
	if err := a.have(plan, work{Paths: paths, PruneImages: &pruneImagesWork{IDs: ids, Named: all}}, nil, &gone); err != nil {
		return 0, err
	}
	var lines []string
	freed := map[string]bool{}
	for _, image := range gone.Images {
		lines = append(lines, image.lines("untagged: ", "deleted: ")...)
		for _, id := range image.Layers {
			freed[id] = true
		}
	}
	for _, id := range gone.Layers {
		lines = append(lines, "deleted: sha256:"+id)
		freed[id] = true
	}
	bytes := before.Size(freed) + gone.Blobs
	_ = events.Append(paths.Data, events.Event{
		Type: events.Image, Action: "prune", Attributes: map[string]string{"reclaimed": strconv.FormatInt(bytes, 10)},
	})
	return bytes, a.printDeleted("Deleted Images:", lines)
}

// unusedImages lists the ids of those that a prune removes.
func unusedImages(paths sandbox.Paths, all bool, f filters, now time.Time) ([]string, error) {
	images, err := view(paths).Images()
	if err != nil {
		return nil, err
	}
	entries, err := knownContainers(record.Root(paths.Data))
	if err != nil {
		return nil, err
	}
	until, err := f.until(now)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, i := range images {
		used := slices.ContainsFunc(entries, func(e record.Entry) bool { return e.Spec.ImageID == i.ID })
		if used || !all && len(i.Names) > 0 || !until.IsZero() && !i.Created.Before(until) {
			continue
		}
		if !(imageFilter{filters: f, view: view(paths)}).labelled(i.ID) {
			continue
		}
		ids = append(ids, i.ID)
	}
	return ids, nil
}

// imageLabels are those of an image's configuration.
func imageLabels(images fuseoverlay.View, id string) (map[string]string, error) {
	text, err := images.Config(id)
	if err != nil {
		return nil, err
	}
	var config struct {
		Config struct{ Labels map[string]string } `json:"config"`
	}
	err = json.Unmarshal(text, &config)
	return config.Config.Labels, err
}

// pruneImagesWork removes images, for the worker.
type pruneImagesWork struct {
	IDs   []string `json:"ids"`
	Named bool     `json:"named,omitempty"` // those that have a name by now, too
}

// prunedImages is what has gone.
type prunedImages struct {
	Images []removedImage `json:"images"`
	Layers []string       `json:"layers,omitempty"` // of no image
	Blobs  int64          `json:"blobs,omitempty"`  // bytes that blobs took
}

// errNamed says that an image has a name by now.
var errNamed = errors.New("it has a name")

// do leaves those that are needed by now, or gone.
func (w *pruneImagesWork) do(t *task) (any, error) {
	var gone prunedImages
	for _, id := range w.IDs {
		removed, err := t.removeImage(id, w.names, nil)
		var inUse *inUseError
		switch {
		case errors.Is(err, errNamed), errors.Is(err, fuseoverlay.ErrNoImage), errors.As(err, &inUse):
		case err != nil:
			return nil, err
		default:
			gone.Images = append(gone.Images, removed)
		}
	}
	var err error
	gone.Layers, err = t.store.Collect(func() error {
		gone.Blobs, err = t.sweepBlobs()
		return err
	})
	return gone, err
}

func (w *pruneImagesWork) names(image *fuseoverlay.Image) ([]string, error) {
	if len(image.Names) > 0 && !w.Named {
		return nil, errNamed
	}
	return image.Names, nil
}

// sweepBlobs drops all that is kept of no image, however new.
func (t *task) sweepBlobs() (int64, error) {
	live, err := liveBlobs(t.store)
	if err != nil {
		return 0, nil // as in dropBlobs
	}
	kept, err := openBlobs(t.Paths)
	if err != nil {
		return 0, err
	}
	return kept.Sweep(live, 0)
}
