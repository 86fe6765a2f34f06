package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rootlet/cli/placement"
	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/fsprobe"
	"rootlet/internal/failpoint"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// moveWork is a move, for the worker: what is moved belongs to many ids.
type moveWork struct{ journal }

func (w *moveWork) do(t *task) (any, error) {
	if err := sweepMove(t.Paths); err != nil {
		return nil, fmt.Errorf("an earlier move: %w", err)
	}
	f, err := w.begin()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	failpoint.At("move begun")
	letGo, err := holdAll(t.Paths)
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	defer letGo()
	move, undo := w.data, w.dropCopy
	if w.Layers {
		move, undo = w.layers, func() error { return w.dropLayers(t.Paths, w.To) }
	}
	switched, err := move(t.Paths, letGo)
	if err != nil && !switched {
		return nil, errors.Join(err, undo(), os.Remove(f.Name()))
	}
	if err != nil {
		return nil, err // the next sweep goes on
	}
	return struct{}{}, os.Remove(f.Name())
}

// holdAll keeps everybody from the store and from the containers, none of which runs.
func holdAll(paths sandbox.Paths) (func(), error) {
	letGo, err := fuseoverlay.Hold(sandbox.StoreConfig(paths, ""))
	if err != nil {
		return nil, err
	}
	root := record.Root(paths.Data)
	entries, err := root.List()
	held := []func(){letGo}
	all := func() {
		for _, f := range held {
			f()
		}
	}
	var busy []record.Entry
	for _, e := range entries {
		c, err := sandbox.OpenEnded(root, e.ID)
		switch {
		case errors.Is(err, record.ErrAlive):
			busy = append(busy, e)
		case err == nil:
			held = append(held, func() { _ = c.Close() })
		}
	}
	if len(busy) > 0 {
		err = &stillUpError{what: "move", names: namesOf(busy)}
	}
	if err != nil {
		all()
		return nil, err
	}
	return all, nil
}

// fit refuses a place where no layers can be.
func fit(dir string) error {
	r := fsprobe.Dir(dir, fuseoverlay.OtherID())
	if why := r.Unfit(); len(why) > 0 {
		return &placeError{fmt.Errorf("no layers can be in %s (%s): %s", dir, r.FS, strings.Join(why, "; ")), ""}
	}
	return nil
}

// data copies the data directory and switches to the copy.
func (w *moveWork) data(paths sandbox.Paths, letGo func()) (switched bool, err error) {
	if err := os.MkdirAll(w.Copy, 0o700); err != nil {
		return false, err
	}
	if paths.Layers == "" {
		if err := fit(w.Copy); err != nil {
			return false, err
		}
	}
	if err := os.WriteFile(filepath.Join(w.Copy, markFile), nil, 0o600); err != nil {
		return false, err
	}
	failpoint.At("move marked")
	if err := fuseoverlay.CopyTree(w.From, w.Copy, nil); err != nil {
		return false, err
	}
	failpoint.At("move copied")
	r, _ := placement.Read(w.From)
	if err := placement.WriteFor(w.Copy, w.To, r); err != nil {
		return false, err
	}
	err = eachElsewhere(paths, func(id, dir string) error {
		own, _ := fuseoverlay.OwnDir(dir)
		return fuseoverlay.SetOwnDir(record.Root(w.Copy).Dir(id), own, record.Root(w.To).Containers())
	})
	if err != nil {
		return false, err
	}
	failpoint.At("move ready")
	if err := w.exchange(); err != nil {
		now, followErr := followMoved(w.Named)
		return followErr == nil && now == w.To, err
	}
	failpoint.At("move switched")
	letGo() // a file that is open keeps a name on NFS and FUSE
	return true, w.sweepData()
}

// layers copies the layers, and what containers have beside them, and switches by the
// record of where they are.
func (w *moveWork) layers(paths sandbox.Paths, _ func()) (switched bool, err error) {
	to := paths
	to.Layers = w.To
	before, after := sandbox.StoreConfig(paths, ""), sandbox.StoreConfig(to, "")
	if err := errors.Join(os.MkdirAll(after.GraphRoot, 0o700), after.LinkLists()); err != nil {
		return false, err
	}
	if err := fit(after.GraphRoot); err != nil {
		return false, err
	}
	if err := fuseoverlay.RemoveTree(after.LayerDir()); err != nil {
		return false, err
	}
	if _, err := os.Lstat(before.LayerDir()); err == nil {
		if err := fuseoverlay.CopyTree(before.LayerDir(), after.LayerDir(), nil); err != nil {
			return false, err
		}
	}
	failpoint.At("move layers copied")
	if w.To != "" {
		if err := after.MarkLayers(); err != nil {
			return false, err
		}
	}
	err = eachElsewhere(paths, func(id, dir string) error {
		if w.To == "" {
			return fuseoverlay.CopyOwn(dir, dir)
		}
		return fuseoverlay.CopyOwn(dir, ownIn(w.To, id))
	})
	if err != nil {
		return false, err
	}
	failpoint.At("move layers ready")
	if err := placement.Write(paths.Data, placement.Record{Layers: w.To, Asked: w.To != ""}); err != nil {
		return false, err
	}
	failpoint.At("move layers switched")
	return true, w.leaveLayers(to)
}
