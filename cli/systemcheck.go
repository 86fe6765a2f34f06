package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/blobs"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// systemCheckCmd is `rootlet system check`.
type systemCheckCmd struct {
	Force  bool `name:"force" short:"f" help:"With --repair: containers that cannot be mended go, too."`
	Quick  bool `name:"quick" short:"q" help:"Do not look into layers and blobs."`
	Repair bool `name:"repair" short:"r" help:"Restore what can be restored, and drop what cannot."`
}

// Run lists what is wrong, a line each.
func (c *systemCheckCmd) Run(a *app) error {
	if c.Force && !c.Repair {
		return errors.New("--force says how to mend: it goes with --repair")
	}
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	var found []fuseoverlay.Finding
	w := checkWork{Force: c.Force, Quick: c.Quick, Repair: c.Repair}
	if err := a.have(plan, work{Paths: paths, Check: &w}, nil, &found); err != nil {
		return err
	}
	left := 0
	for _, f := range found {
		line := printable(f.What + ": " + f.Text)
		if f.Done != "" {
			line += " (" + f.Done + ")"
		} else {
			left++
		}
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	if left == 0 {
		return nil
	}
	return &findingsError{left: left, repaired: c.Repair}
}

// findingsError says that not all is well.
type findingsError struct {
	left     int
	repaired bool
}

func (e *findingsError) Error() string {
	if e.left == 1 {
		return "one thing is damaged"
	}
	return fmt.Sprintf("%d things are damaged", e.left)
}

// Hint says how to mend them.
func (e *findingsError) Hint() string {
	if e.repaired {
		return "`rootlet system check --repair --force` drops them, containers too"
	}
	return "`rootlet system check --repair` mends what can be mended"
}

// checkWork looks for damage, for the worker: it needs no store that opens.
type checkWork struct {
	Force  bool `json:"force,omitempty"`
	Quick  bool `json:"quick,omitempty"`
	Repair bool `json:"repair,omitempty"`

	found []fuseoverlay.Finding
}

func (w *checkWork) do(ctx context.Context, t *task) (any, error) {
	w.found = []fuseoverlay.Finding{}
	kept, err := lookAtBlobs(t.Paths)
	if err != nil {
		return nil, err
	}
	if err := w.checkBlobs(ctx, kept); err != nil {
		return nil, err
	}
	users, running, err := imageUsers(t.Paths)
	if err != nil {
		return nil, err
	}
	inStore, err := fuseoverlay.Check(ctx, sandbox.StoreConfig(t.Paths, t.Driver), fuseoverlay.CheckOptions{
		Quick: w.Quick, Repair: w.Repair, Drop: w.Force,
		Limits:    layerLimits(t.Installing.Limits),
		Used:      func(id string) string { return users[id] },
		Running:   func(id string) string { return running[id] },
		OpenLayer: func(_ context.Context, digest string) (io.ReadCloser, error) { return openLayer(kept, digest) },
	})
	w.found = append(w.found, inStore...)
	if err != nil {
		return nil, err
	}
	if err := w.checkContainers(t.Paths); err != nil {
		return nil, err
	}
	return w.found, w.checkVolumes(t.Paths)
}

// note notes a finding, and what is done about it where it is mended.
func (w *checkWork) note(what string, wrong error, done string, mend func() error) {
	f := fuseoverlay.Finding{What: what, Text: wrong.Error()}
	if w.Repair && mend != nil {
		f.Done = done
		if err := mend(); err != nil {
			f.Text, f.Done = f.Text+": "+err.Error(), ""
		}
	}
	w.found = append(w.found, f)
}

// lookAtBlobs opens what is kept of images to be looked at; nil where nothing is.
func lookAtBlobs(paths sandbox.Paths) (*blobs.Store, error) {
	if _, err := os.Lstat(filepath.Join(paths.Data, blobsName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := openBlobs(paths)
	if err != nil {
		return nil, err
	}
	return s.Keeping(), nil
}

func openLayer(kept *blobs.Store, digest string) (io.ReadCloser, error) {
	if kept == nil {
		return nil, fs.ErrNotExist
	}
	blob, _, err := kept.Read(digest)
	if errors.Is(err, blobs.ErrDamaged) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	archive, err := pull.Uncompressed(blob)
	if err != nil { // of a blob that is damaged at its beginning
		return nil, errors.Join(fs.ErrNotExist, blob.Close())
	}
	return &openedLayer{archive, blob}, nil
}

// openedLayer is the archive in a blob.
type openedLayer struct {
	io.ReadCloser
	blob io.Closer
}

// Close closes both.
func (l *openedLayer) Close() error { return errors.Join(l.ReadCloser.Close(), l.blob.Close()) }

// checkBlobs compares blobs with their digests; one that differs is of no use.
func (w *checkWork) checkBlobs(ctx context.Context, kept *blobs.Store) error {
	if kept == nil || w.Quick {
		return nil
	}
	list, err := kept.List()
	if err != nil {
		return err
	}
	for _, b := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := readThrough(kept, b.Digest)
		if errors.Is(err, fs.ErrNotExist) || err == nil {
			continue
		}
		if !errors.Is(err, blobs.ErrDamaged) {
			return err
		}
		w.note("blob "+b.Digest, errors.New("is not what its digest says"), "removed: a pull fetches it again", func() error { return kept.Remove(b.Digest) })
	}
	return nil
}

func readThrough(kept *blobs.Store, digest string) error {
	blob, _, err := kept.Read(digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(io.Discard, blob)
	return err
}

// imageUsers names a container for each image that one is made of, and one that
// is up.
func imageUsers(paths sandbox.Paths) (users, running map[string]string, err error) {
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		return nil, nil, err
	}
	users, running = map[string]string{}, map[string]string{}
	for _, e := range entries {
		if e.Spec.ImageID == "" {
			continue
		}
		users[e.Spec.ImageID] = e.Spec.Name
		if e.State.Status.Up() || e.State.Status == record.Restarting {
			running[e.Spec.ImageID] = e.Spec.Name
		}
	}
	return users, running, nil
}

// checkContainers looks for containers whose record is damaged or whose image is
// gone, and for names of none. A container goes only with force: what it has
// written is nowhere else.
func (w *checkWork) checkContainers(paths sandbox.Paths) error {
	root := record.Root(paths.Data)
	entries, err := root.List()
	if err != nil {
		return err
	}
	images, err := view(paths).Images()
	if err != nil {
		images = nil // told already, and mended only by then
		entries = nil
	}
	there := map[string]bool{}
	for _, i := range images {
		there[i.ID] = true
	}
	for _, e := range entries {
		wrong := e.Err
		if wrong == nil && !there[e.Spec.ImageID] {
			wrong = fmt.Errorf("its image %s is gone", shortID(e.Spec.ImageID, false))
		}
		if wrong == nil {
			continue
		}
		var mend func() error
		if w.Force {
			mend = func() error {
				_, err := sandbox.Remove(paths, e.ID, sandbox.RemoveOptions{})
				return err
			}
		}
		w.note("container "+shortID(e.ID, false)+" ("+e.Spec.Name+")", wrong, "removed", mend)
	}
	stale, err := root.StaleNames()
	if err != nil {
		return err
	}
	for _, name := range stale {
		w.note("name "+name, errors.New("is that of no container"), "freed", root.SweepNames)
	}
	return nil
}

// checkVolumes looks for volumes whose record is damaged. What is in one is
// nowhere else: with force it becomes a volume without options.
func (w *checkWork) checkVolumes(paths sandbox.Paths) error {
	volumes, err := volume.In(paths.Data).List()
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if v.Err == nil {
			continue
		}
		var mend func() error
		if w.Force {
			mend = func() error { return volume.In(paths.Data).Restore(v.Name) }
		}
		w.note("volume "+v.Name, v.Err, "restored without its options", mend)
	}
	return nil
}
