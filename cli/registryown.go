package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/blobs"
	"rootlet/pull/serve"
	"rootlet/pull/serve/folder"
	"rootlet/pull/serve/own"
	"rootlet/sandbox"
	"rootlet/userns"
)

// ownImages is the registry of the user's own images, on this port.
func ownImages(a *app, port int, c *registryServeCmd) (serve.Storage, *folder.Folder, error) {
	paths, plan, err := a.place()
	if err != nil {
		return nil, nil, err
	}
	c.Folder = filepath.Join(paths.Data, "registry")
	kept, err := folder.Open(c.Folder)
	if err != nil {
		return nil, nil, err
	}
	layers, err := openBlobs(paths)
	if err != nil {
		return nil, nil, err
	}
	// A worker listens to signals on its own, and those are for the server.
	silent := &app{began: a.began, stdin: a.stdin, stdout: io.Discard, printer: a.printer, storageDriver: a.storageDriver, config: a.config, signals: make(chan os.Signal)}
	arriving := &arrivals{a: silent, plan: plan, paths: paths, dir: c.Folder, port: port}
	return &own.Storage{Folder: kept, Images: imagesToServe{view(paths), layers.With(a.storeBlobs())}, Pushed: arriving.pushed}, kept, nil
}

// imagesToServe are the user's images as a registry wants them.
type imagesToServe struct {
	view   fuseoverlay.View
	layers *blobs.Store
}

// Names lists all but the built-in image, which nobody else can run.
func (s imagesToServe) Names() (map[string][]string, error) {
	all, err := s.view.Images()
	names := map[string][]string{}
	for _, i := range all {
		if len(i.Names) != 1 || i.Names[0] != helloFullName {
			names[i.ID] = i.Names
		}
	}
	return names, err
}

// Image reads an image's documents.
func (s imagesToServe) Image(id string) (manifest, config []byte, err error) {
	i, err := s.view.Image(id)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, nil, serve.ErrNotThere
	}
	if err != nil {
		return nil, nil, err
	}
	return i.Manifest, i.Config, nil
}

// Blob opens a layer, as a file where it is one.
func (s imagesToServe) Blob(digest string) (io.ReadSeekCloser, error) {
	file, err := s.layers.File(digest)
	if err == nil {
		return file, nil
	}
	var first io.ReadCloser
	var size int64
	if errors.Is(err, fs.ErrNotExist) {
		first, size, err = s.layers.Read(digest)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, blobs.ErrDamaged) {
		return nil, serve.ErrNotThere
	}
	if err != nil {
		return nil, err
	}
	first.Close()
	return &own.Sequential{Size: size, Open: func(offset int64) (io.ReadCloser, error) {
		r, _, err := s.layers.Open(digest, offset)
		return r, err
	}}, nil
}

// arrivals makes images of what is pushed, one after another.
type arrivals struct {
	a     *app
	plan  *userns.Plan
	paths sandbox.Paths
	dir   string
	port  int
	mu    sync.Mutex
}

// unpackTime is for how long the client that pushed an image waits until it is
// one of the user's. Clients do not wait for ever, so that a large one goes on
// being unpacked behind their back.
const unpackTime = 10 * time.Second

// pushed makes an image of what was pushed, under the name by which the user
// would have pulled it from here.
func (p *arrivals) pushed(repository, tag string, d serve.Digest) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.mu.Lock()
		defer p.mu.Unlock()
		name := fmt.Sprintf("localhost:%d/%s:%s", p.port, repository, tag)
		if err := p.install(repository, name, d); err != nil {
			p.a.notice(fmt.Sprintf("%s was pushed and is served, and is no image here: %v", name, err))
		}
	}()
	select {
	case <-done:
	case <-time.After(unpackTime):
	}
}

func (p *arrivals) install(repository, name string, d serve.Digest) error {
	if _, err := pull.ParseReference(name); err != nil {
		return err
	}
	var result pull.Result
	w := work{Paths: p.paths, Served: &servedWork{Dir: p.dir, Repository: repository, Digest: string(d), Name: name}}
	return p.a.have(p.plan, w, nil, &result)
}

// servedWork makes an image of a manifest that was pushed, for the worker.
type servedWork struct {
	Dir        string `json:"dir"`
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Name       string `json:"name"`
}

func (w *servedWork) do(ctx context.Context, t *task) (any, error) {
	kept, err := folder.Open(w.Dir)
	if err != nil {
		return nil, err
	}
	options, err := t.installOptions()
	if err != nil {
		return nil, err
	}
	from := folder.Source{Folder: kept, Repository: w.Repository}
	result, err := pull.FromSource(ctx, from, w.Digest, []string{w.Name}, options, storeForPull{t.store})
	if err != nil {
		return nil, pull.Explain("unpack", w.Name, err)
	}
	t.imageEvent("pull", result.ID, w.Name)
	return result, w.share(t, kept, options.Blobs, result.ID)
}

// share has the folder and the user's blobs have one file for what both keep.
func (w *servedWork) share(t *task, kept *folder.Folder, to *blobs.Store, id string) error {
	image, err := t.store.Image(id)
	if err != nil {
		return err
	}
	for _, digest := range pull.BlobsOf(image.Manifest) {
		d, ok := serve.ParseDigest(digest)
		if !ok {
			continue
		}
		content, err := kept.Blob(w.Repository, d)
		if err != nil {
			continue // deleted since
		}
		if file, ok := content.(*os.File); ok {
			err = to.Share(digest, file.Name())
		}
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}
