package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/registry"
	"rootlet/pull/transport"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/userns"
)

// pullCmd is `rootlet pull`.
type pullCmd struct {
	Images    []string `arg:"" name:"image" help:"Images to fetch."`
	AllTags   bool     `name:"all-tags" short:"a" help:"All tags of the repositories."`
	Platform  string   `name:"platform" env:"DOCKER_DEFAULT_PLATFORM" placeholder:"OS/ARCH" help:"Platform of the image."`
	Quiet     bool     `name:"quiet" short:"q" help:"No progress."`
	TLSVerify *bool    `name:"tls-verify" help:"Check the registry's certificate."`
}

// Run fetches the images and prints their ids.
func (c *pullCmd) Run(a *app) error {
	a.quiet = c.Quiet
	images := c.Images
	if c.AllTags {
		images = nil
		for _, repository := range c.Images {
			tagged, err := c.tags(a, repository)
			if err != nil {
				return err
			}
			images = append(images, tagged...)
		}
	}
	if len(images) == 1 {
		return c.one(a, images[0])
	}
	return a.each(images, func(image string) error { return c.one(a, image) })
}

// one fetches one image and prints its id.
func (c *pullCmd) one(a *app, image string) error {
	from, byTransport, err := transport.Parse(image)
	switch {
	case err != nil:
		return err
	case from.Kind == transport.Registry:
		image = from.Image
	case byTransport:
		return c.fromFiles(a, from)
	}
	sources, err := a.sources(image, c.TLSVerify)
	if err != nil {
		return err
	}
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	result, err := fetch(a, plan, paths, pullWork{Sources: sources, Platform: c.Platform}, c.Quiet)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, result.ID)
	return nil
}

// maxTags bounds what a repository can have us pull.
const maxTags = 10000

// tags are all images of a repository.
func (c *pullCmd) tags(a *app, repository string) ([]string, error) {
	repository = strings.TrimPrefix(repository, "docker://")
	if strings.ContainsAny(path.Base(repository), ":@") {
		return nil, fmt.Errorf("--all-tags wants a repository without a tag, not %q", repository)
	}
	ref, tags, err := a.tags(repository, c.TLSVerify, maxTags)
	if err != nil {
		return nil, err
	}
	var images []string
	for _, tag := range tags {
		images = append(images, ref.Registry()+"/"+ref.Repository()+":"+tag)
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("pull %s: the repository has no tags", repository)
	}
	return images, nil
}

// fromFiles takes the image out of a layout or archive.
func (c *pullCmd) fromFiles(a *app, from transport.Name) error {
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	loaded, err := a.loadOne(plan, paths, from, c.Platform, c.Quiet)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, loaded.ID)
	return err
}

// pullWork is a pull, for the worker.
type pullWork struct {
	Sources  []pullSource `json:"sources"` // the first that is there counts
	Platform string       `json:"platform,omitempty"`
	Stores   int          `json:"stores,omitempty"` // directories of blobs that are open, from streamFD on
}

// storeFDs are the directories of blobs of image stores.
func (w *pullWork) storeFDs() []int {
	var fds []int
	for i := range w.Stores {
		fds = append(fds, streamFD+i)
	}
	return fds
}

// pullSource is an image that may be meant, and where to ask for it.
type pullSource struct {
	Ref       string            `json:"ref"`
	Endpoints []registry.Config `json:"endpoints"`
}

// fetch has a worker pull an image, and shows how far it is.
func fetch(a *app, plan *userns.Plan, paths sandbox.Paths, w pullWork, quiet bool) (pull.Result, error) {
	bars := newProgress(a, quiet)
	defer bars.close()
	var result pull.Result
	blobs := a.storeBlobs()
	w.Stores = len(blobs)
	if err := a.haveBy(plan.Start, work{Paths: paths, Pull: &w}, bars.event, &result, blobs...); err != nil {
		return result, err
	}
	tellPulled(paths, result.Name)
	return result, nil
}

// tellPulled has the event of an image that was pulled written down.
func tellPulled(paths sandbox.Paths, name string) {
	if ref, err := pull.ParseReference(name); err == nil {
		name = ref.Familiar()
	}
	repository, _ := splitName(name)
	_ = events.Append(paths.Data, events.Event{
		Type: events.Image, Action: "pull", ID: name, Attributes: map[string]string{"name": repository},
	})
}

func (w *pullWork) do(ctx context.Context, t *task) (any, error) {
	options, err := t.installOptions()
	if err != nil {
		return nil, err
	}
	var stores []*os.File
	for _, fd := range w.storeFDs() {
		stores = append(stores, os.NewFile(uintptr(fd), "image store"))
	}
	options.Platform, options.Blobs = w.Platform, options.Blobs.With(stores)
	var failed []error
	for _, source := range w.Sources {
		ref, err := pull.ParseReference(source.Ref)
		if err != nil {
			return nil, err
		}
		options.Endpoints = source.Endpoints
		result, err := pull.Image(ctx, ref, options, storeForPull{t.store})
		if err == nil || ctx.Err() != nil {
			return result, err
		}
		failed = append(failed, err)
	}
	return nil, noSource(failed)
}

// noSource is why none of the images that may be meant could be had.
func noSource(failed []error) error {
	if len(failed) == 1 {
		return failed[0]
	}
	var said []string
	for _, err := range failed {
		said = append(said, err.Error())
	}
	return errors.New(strings.Join(said, "; "))
}

// storeForPull shows the layer store as pull wants one; neither package knows
// the other.
type storeForPull struct{ *fuseoverlay.Store }

func (s storeForPull) HasLayer(chainID string) (bool, error) {
	return s.Store.HasLayer(chainID), nil
}

func (s storeForPull) LiveBlobs() (map[string]bool, error) { return liveBlobs(s.Store) }

func (s storeForPull) StageLayer(ctx context.Context, tar io.Reader, limits pull.Limits) (pull.StagedLayer, error) {
	layer, err := s.Store.StageLayer(ctx, tar, layerLimits(limits))
	if err != nil {
		return nil, err
	}
	return stagedLayer{layer}, nil
}

func (s storeForPull) PutImage(r pull.ImageRecord) error {
	return s.Store.PutImage(fuseoverlay.ImageRecord(r))
}

func (s storeForPull) LookUp(name string) (id, digest string, ok bool, err error) {
	image, err := s.Store.Image(name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, err
	}
	if image.TopLayer != "" && !s.Store.HasLayer(image.TopLayer) {
		return "", "", false, nil // a scratch has lost it
	}
	return image.ID, image.Digest, true, nil
}

type stagedLayer struct{ *fuseoverlay.StagedLayer }

func (l stagedLayer) Commit(r pull.LayerRecord) error {
	return l.StagedLayer.Commit(fuseoverlay.LayerRecord(r))
}
