package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/pull/blobs"
	"rootlet/sandbox"
	"rootlet/userns"
)

// A scratch may be emptied at any time. What it has lost is unpacked again, from what
// is kept of the images, by whoever needs it next.

// refill has a worker do so before a container is made or started. It costs nothing
// where layers are beside the rest.
func (a *app) refill(plan *userns.Plan, r sandbox.Request) error {
	if r.Paths.Layers == "" {
		return nil
	}
	ref := r.Spec.ImageID
	if r.Start == "" {
		ref = r.ImageName
	}
	c := sandbox.StoreConfig(r.Paths, "")
	lost, err := c.Lost(ref)
	if err != nil || len(lost) == 0 {
		return nil // that there is no such image others say
	}
	image, err := view(r.Paths).Find(ref)
	if err != nil {
		return nil
	}
	a.notice(fmt.Sprintf("layers in %s are gone, as by a reboot or a cleaner: unpacking %d of image %s again", r.Paths.Layers, len(lost), shortID(image.ID, false)))
	var none struct{}
	return a.have(plan, work{Paths: r.Paths, Refill: &refillWork{Image: image.ID}}, nil, &none)
}

// refillWork unpacks the layers of an image again, for the worker.
type refillWork struct {
	Image string `json:"image"`
}

// installWait is how long it waits for who brings an image in.
const installWait = 30 * time.Second

func (w *refillWork) do(ctx context.Context, t *task) (any, error) {
	kept, err := lookAtBlobs(t.Paths)
	if err != nil {
		return nil, err
	}
	return struct{}{}, t.refill(ctx, kept, w.Image)
}

func (t *task) refill(ctx context.Context, kept *blobs.Store, image string) error {
	for deadline := time.Now().Add(installWait); ; {
		err := fuseoverlay.Refill(ctx, sandbox.StoreConfig(t.Paths, t.Driver), image, fuseoverlay.CheckOptions{
			Limits:    layerLimits(t.Installing.Limits),
			OpenLayer: func(_ context.Context, digest string) (io.ReadCloser, error) { return openLayer(kept, digest) },
		})
		if !errors.Is(err, fuseoverlay.ErrInstalling) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// findAgain sees to layers that a scratch has lost, for work that needs them: those of
// images that are read are unpacked again; those that an image brings in are taken off
// the list, so that they come with it.
func (t *task) findAgain(ctx context.Context) error {
	if t.Paths.Layers == "" {
		return nil
	}
	if t.Pull != nil || t.Load != nil || t.Import != nil || t.Served != nil || t.Hello != nil {
		return t.store.ForgetLost()
	}
	if t.Diff == nil && t.Files == nil && t.ImageDiff == nil {
		return nil
	}
	kept, err := lookAtBlobs(t.Paths)
	if err != nil {
		return err
	}
	images, err := view(t.Paths).Images()
	if err != nil {
		return err
	}
	for _, image := range images {
		lost, err := sandbox.StoreConfig(t.Paths, "").Lost(image.ID)
		if err != nil || len(lost) == 0 {
			continue
		}
		var gone *fuseoverlay.NotKeptError
		if err := t.refill(ctx, kept, image.ID); err != nil && !errors.As(err, &gone) {
			return err
		}
	}
	return nil
}
