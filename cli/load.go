package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"rootlet/pull"
	"rootlet/pull/transport"
	"rootlet/sandbox"
	"rootlet/userns"
)

// loadCmd is `rootlet load`.
type loadCmd struct {
	Input    string `name:"input" short:"i" placeholder:"FILE" default:"-" help:"A file or directory; standard input if not given."`
	Platform string `name:"platform" env:"DOCKER_DEFAULT_PLATFORM" placeholder:"OS/ARCH" help:"Of an image that is there for several."`
	Quiet    bool   `name:"quiet" short:"q" help:"No progress."`
}

// Run puts all images of an archive into the store and prints their names.
func (c *loadCmd) Run(a *app) error {
	a.quiet = c.Quiet
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	w := loadWork{Path: c.Input, All: true, Platform: c.Platform}
	result, err := a.load(plan, paths, w, c.Quiet)
	if err != nil {
		return err
	}
	for _, i := range result.Images {
		i.print(a)
	}
	if result.Failed != nil {
		return result.Failed.unpacked()
	}
	return nil
}

// loadWork takes images out of files, for the worker.
type loadWork struct {
	Path     string         `json:"path"` // as the user wrote it
	Kind     transport.Kind `json:"kind,omitempty"`
	Image    string         `json:"image,omitempty"` // which one
	All      bool           `json:"all,omitempty"`   // or all
	Platform string         `json:"platform,omitempty"`
}

// loadResult is what came of it: the images before one that failed stay.
type loadResult struct {
	Images []loadedImage `json:"images"`
	Failed *failed       `json:"failed,omitempty"`
}

// loadedImage is one that is in the store now.
type loadedImage struct {
	ID    string   `json:"id"`
	Names []string `json:"names"`
}

func (i loadedImage) print(a *app) {
	if len(i.Names) == 0 {
		fmt.Fprintln(a.stdout, "Loaded image ID: sha256:"+i.ID)
	}
	for _, name := range i.Names {
		repository, tag := splitName(name)
		fmt.Fprintln(a.stdout, "Loaded image: "+printable(repository+":"+tag))
	}
}

// load has a worker take images out of a file or directory.
func (a *app) load(plan *userns.Plan, paths sandbox.Paths, w loadWork, quiet bool) (loadResult, error) {
	var result loadResult
	f, err := a.openImages(w.Path, paths.Data)
	if err != nil {
		return result, pull.Explain("load", w.Path, err)
	}
	bars := newProgress(a, quiet)
	defer bars.close()
	err = a.haveBy(plan.Start, work{Paths: paths, Load: &w}, bars.event, &result, f)
	return result, err
}

func (w *loadWork) do(ctx context.Context, t *task) (any, error) {
	store, err := transport.Open(ctx, os.NewFile(streamFD, w.Path), w.Kind)
	if err != nil {
		return nil, pull.Explain("load", w.Path, err)
	}
	defer store.Close()
	images, err := w.chosen(store)
	if err != nil {
		return nil, pull.Explain("load", w.Path, err)
	}
	result := loadResult{Images: []loadedImage{}}
	for _, i := range images {
		loaded, err := w.one(ctx, t, store, i)
		if err != nil && len(result.Images) == 0 {
			return nil, err
		}
		if err != nil {
			f := packed(err)
			f.NameDisk(err, t.Paths)
			result.Failed = &f
			break
		}
		result.Images = append(result.Images, loaded)
	}
	return result, nil
}

// chosen are the images that the user wants.
func (w *loadWork) chosen(store transport.Store) ([]transport.Listed, error) {
	if !w.All {
		one, err := store.Find(w.Image)
		return []transport.Listed{one}, err
	}
	all, err := store.Images()
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("there is no image in it")
	}
	return all, err
}

func (w *loadWork) one(ctx context.Context, t *task, from pull.Source, i transport.Listed) (loadedImage, error) {
	options, err := t.installOptions()
	if err != nil {
		return loadedImage{}, err
	}
	options.Platform, options.AsItIs = w.Platform, true
	result, err := pull.FromSource(ctx, from, i.Identifier, i.Names, options, storeForPull{t.store})
	if err != nil {
		return loadedImage{}, pull.Explain("load", w.Path, err)
	}
	loaded := loadedImage{ID: result.ID, Names: i.Names}
	for _, name := range i.Names {
		t.imageEvent("load", result.ID, name)
	}
	return loaded, nil
}

// pullEvent tells the command how far a layer is.
func (t *task) pullEvent(e pull.Event) {
	if text, err := json.Marshal(e); err == nil {
		_ = t.conn.Send(kindEvent, text)
	}
}
