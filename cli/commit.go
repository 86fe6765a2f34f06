package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// commitCmd is `rootlet commit`.
type commitCmd struct {
	Container string   `arg:"" help:"Name or id."`
	Image     string   `arg:"" optional:"" help:"REPOSITORY[:TAG] of the image; without it the image has no name."`
	Author    string   `name:"author" short:"a" placeholder:"AUTHOR" help:"Who made it."`
	Change    []string `name:"change" short:"c" sep:"none" placeholder:"LINE" help:"A line of a Dockerfile to apply; repeatable."`
	Message   string   `name:"message" short:"m" placeholder:"TEXT" help:"What for."`
	Pause     bool     `name:"pause" short:"p" default:"true" negatable:"" help:"Pause the container meanwhile."`
}

// Run makes an image of the container and prints its id.
func (c *commitCmd) Run(a *app) error {
	name, err := commitName(c.Image)
	if err != nil {
		return err
	}
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	w := filesWork{ID: found.id, Given: c.Container, Commit: &commitWork{
		Name: name, Author: c.Author, Changes: c.Change, Message: c.Message, Pause: c.Pause,
	}}
	before, err := found.live()
	if err != nil {
		return err
	}
	result, err := a.inFiles(found.paths, w, false, nil)
	if err != nil && before.Status == record.Running {
		found.wakeUp()
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, "sha256:"+result.ImageID)
	return err
}

// wakeUp lets a container go on that a worker has paused which died at it.
func (c container) wakeUp() {
	if now, err := c.live(); err == nil && now.Status == record.Paused {
		_ = sandbox.Unpause(c.paths, c.id)
	}
}

// commitName is the full name for the new image.
func commitName(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	ref, err := pull.ParseReference(given)
	if err != nil {
		return "", noName(given, err)
	}
	if ref.Digest() != "" {
		return "", fmt.Errorf("%s: an image that is being made cannot be named by a digest", given)
	}
	return ref.Name(), nil
}

// commitWork makes an image of a container, for the worker.
type commitWork struct {
	Name    string   `json:"name,omitempty"`
	Author  string   `json:"author,omitempty"`
	Changes []string `json:"changes,omitempty"`
	Message string   `json:"message,omitempty"`
	Pause   bool     `json:"pause,omitempty"`
}

func (w *commitWork) do(ctx context.Context, t *task, c *sandbox.Opened) (id string, err error) {
	base := pull.ImageRecord{Config: c.Image.Config, Manifest: c.Image.Manifest}
	derive := pull.Derivation{
		Base: base, Process: processOf(&c.Spec), Changes: w.Changes, Created: time.Now().UTC(),
		Author: w.Author, Comment: w.Message, CreatedBy: strings.Join(c.Spec.Process.Cmd, " "),
	}
	if _, err := pull.Derive(derive); err != nil {
		return "", err // before all the copying
	}
	leave, err := t.store.EnterInstall()
	if err != nil {
		return "", err
	}
	defer func() { _ = leave() }() // what it could not remove, the next one will
	layer, err := w.pausing(t, c, func() (*pull.AddedLayer, error) { return w.addLayer(ctx, t, c) })
	defer func() {
		if err != nil && layer != nil {
			t.dropBlob(layer.DiffID)
		}
	}()
	if err != nil {
		return "", err
	}
	derive.Layer = layer
	image, err := pull.Derive(derive)
	if err != nil {
		return "", err
	}
	if w.Name != "" {
		image.Names = []string{w.Name}
	}
	if err := t.store.PutImage(fuseoverlay.ImageRecord(image)); err != nil {
		return "", err
	}
	_ = events.Append(t.Paths.Data, events.Of(&c.Spec, "commit", "comment", w.Message, "imageID", "sha256:"+image.ID, "imageRef", w.Name))
	if w.Name != "" {
		t.imageEvent("tag", image.ID, w.Name)
	}
	return image.ID, nil
}

// pausing reads the container's files, held still where that is wanted: then all
// of them are of one moment.
func (w *commitWork) pausing(t *task, c *sandbox.Opened, read func() (*pull.AddedLayer, error)) (layer *pull.AddedLayer, err error) {
	state, err := record.Root(t.Paths.Data).Live(c.Spec.ID)
	if err != nil {
		return nil, err
	}
	if w.Pause && state.Status == record.Running {
		if err := sandbox.Pause(t.Paths, c.Spec.ID); err != nil {
			return nil, fmt.Errorf("pause the container: %w", err)
		}
		defer func() {
			if unpauseErr := sandbox.Unpause(t.Paths, c.Spec.ID); err == nil && unpauseErr != nil {
				err = fmt.Errorf("unpause the container: %w", unpauseErr)
			}
		}()
	}
	if err := c.Settle(); err != nil {
		return nil, err
	}
	return read()
}

// processOf is what of a container goes into the image's configuration.
func processOf(s *record.Spec) pull.Process {
	p := pull.Process{
		Entrypoint: s.Process.Entrypoint, Cmd: s.Process.Cmd, Env: s.Process.Env, WorkingDir: s.Process.WorkingDir,
		User: s.Process.User, Labels: s.Labels, StopSignal: s.StopSignal, ExposedPorts: s.ExposedPorts,
	}
	for _, m := range s.Mounts {
		if m.Type == record.Volume && m.Anonymous {
			p.Volumes = append(p.Volumes, m.Target)
		}
	}
	slices.Sort(p.Volumes)
	if h := s.Health; h != nil {
		p.Health = &pull.Health{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	}
	return p
}

// addLayer puts what the container has changed into the store, as a layer on top
// of its image's; nil says that it has changed nothing.
func (w *commitWork) addLayer(ctx context.Context, t *task, c *sandbox.Opened) (*pull.AddedLayer, error) {
	stream, writer := io.Pipe()
	kept, err := t.blobs()
	if err != nil {
		return nil, err
	}
	blob, err := kept.CreatePacked() // for push and save, while it is made anyway
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	written := make(chan fuseoverlay.LayerChanges, 1)
	go func() {
		result, err := t.store.WriteLayer(ctx, writer, c.Image, c.Own())
		written <- result
		writer.CloseWithError(err)
	}()
	staged, err := t.store.StageLayer(ctx, io.TeeReader(stream, blob), layerLimits(t.Installing.Limits))
	stream.CloseWithError(err) // or the writer would wait for ever
	result := <-written
	if err != nil {
		return nil, err
	}
	if len(result.Left) > 0 {
		_ = t.conn.Send(kindNotice, fmt.Appendf(nil, "%d files are not in the image, as a layer cannot hold their names: %s", len(result.Left), result.Left[0]))
	}
	if result.Entries == 0 {
		return nil, staged.Discard()
	}
	layer := &pull.AddedLayer{DiffID: blob.Digest(), Size: blob.Size()}
	below, err := pull.DiffIDs(c.Image.Config)
	if err == nil && !t.Installing.DropBlobs {
		err = blob.Keep(layer.DiffID)
	}
	if err != nil {
		return nil, errors.Join(err, staged.Discard())
	}
	return layer, staged.Commit(fuseoverlay.LayerRecord{
		ChainID: pull.TopLayer(append(below, layer.DiffID)), Parent: pull.TopLayer(below),
		DiffID: layer.DiffID, BlobDigest: layer.DiffID, Size: layer.Size,
	})
}
