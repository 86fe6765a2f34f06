package fuseoverlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Finding is one thing in the store that is not as it should be.
type Finding struct {
	What string `json:"what"`           // "image 0123456789ab"
	Text string `json:"text"`           // what is wrong with it
	Done string `json:"done,omitempty"` // what was done about it
}

// CheckOptions say how to look, and what to do about what is found.
type CheckOptions struct {
	// Quick leaves out what is in the layers.
	Quick bool
	// Repair restores what it can, and drops what it cannot.
	Repair bool
	// Drop has images go that cannot be restored, even where a container is made
	// of them.
	Drop bool
	// Used names a container that is made of an image; empty: there is none.
	Used func(imageID string) string
	// Running names one that is up: its layers are not replaced below it.
	Running func(imageID string) string
	// OpenLayer opens the archive of a layer by the digest of its blob, if that is
	// kept: else the error is fs.ErrNotExist.
	OpenLayer func(ctx context.Context, blob string) (io.ReadCloser, error)
	// Limits are those of layers that are brought in.
	Limits LayerLimits
}

// ErrInstalling says that the store cannot be mended now.
var ErrInstalling = errors.New("an image is being brought in: mend the store when that is done")

// Check compares what the store's lists say with each other, with the digests
// that everything is known by, and with what lies there. It reads the files
// themselves, for containers/storage opens no store whose lists are damaged. The
// order is that of dependence: lists, images, layers, and what is left over.
func Check(ctx context.Context, c Config, o CheckOptions) ([]Finding, error) {
	if _, err := os.Lstat(c.GraphRoot); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err := c.LinkLists(); err != nil {
		return nil, err
	}
	a := newAudit(ctx, c, o)
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, step := range []func() error{
		a.readImages, a.readLayers, a.checkImages, a.checkLayers, a.checkContents, a.dropLost, a.checkOrphans, a.save,
		a.checkLinks, a.checkLeftovers,
	} {
		if err := step(); err != nil {
			return a.findings, err
		}
	}
	return a.findings, nil
}

// audit is one check. What it finds wrong with the lists it sets right in
// memory, so that one fault is told once; with Repair that is written.
type audit struct {
	CheckOptions
	ctx   context.Context
	store *Store

	images        []storage.Image
	spareImages   []storage.Image // the list's copy
	layers        []storage.Layer
	imagesChanged bool
	layersChanged bool
	installing    bool // layers may have no image yet

	lost   map[string]string       // images that cannot be had, by id: why
	wanted map[string]*wantedLayer // what images need, by id
	broken map[string]string       // layers that are not what they should be: why

	lostWith map[string]string // layers that only an image needed that has been dropped

	findings []Finding
}

func newAudit(ctx context.Context, c Config, o CheckOptions) *audit {
	return &audit{
		CheckOptions: o, ctx: ctx, store: &Store{config: c, layers: filepath.Join(c.GraphRoot, driverName)},
		lost: map[string]string{}, wanted: map[string]*wantedLayer{}, broken: map[string]string{},
		lostWith: map[string]string{},
	}
}

// lock keeps others from changing what is looked at. Who looks lets pulls go on;
// who mends does not.
func (a *audit) lock() (func(), error) {
	how := unix.LOCK_SH
	if a.Repair {
		how = unix.LOCK_EX
	}
	unkeep, err := a.store.flock(imagesLock, how)
	if err != nil {
		return nil, err
	}
	uninstall, alone, err := a.store.tryInstallAlone()
	if err != nil {
		unkeep()
		return nil, err
	}
	a.installing = !alone
	switch {
	case a.Repair && !alone:
		unkeep()
		return nil, ErrInstalling
	case alone && !a.Repair:
		uninstall()
	}
	uncommit, err := a.store.flock(commitLock, how)
	if err != nil {
		unkeep()
		return nil, err
	}
	return func() {
		uncommit()
		if a.Repair {
			uninstall()
		}
		unkeep()
	}, nil
}

// found notes a finding, and what is done about it when it is mended.
func (a *audit) found(what, text, done string) {
	if !a.Repair {
		done = ""
	}
	a.findings = append(a.findings, Finding{What: what, Text: text, Done: done})
}

// save writes the lists, as far as they have changed.
func (a *audit) save() error {
	if !a.Repair {
		return nil
	}
	root := a.store.config.GraphRoot
	if a.layersChanged {
		if err := saveList(filepath.Join(root, layersFile), a.layers); err != nil {
			return err
		}
	}
	if a.imagesChanged {
		if err := saveList(filepath.Join(root, imagesFile), a.images); err != nil {
			return err
		}
	}
	if a.imagesChanged || a.layersChanged {
		a.store.keepCopies()
	}
	return nil
}

func saveList[T any](path string, list []T) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock, err := lockList(path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if list == nil {
		list = []T{}
	}
	return writeList(lock, path, list)
}

// readDamaged reads one of the lists, or what is left of it in its copy, and says
// what is wrong with it; both may be beyond reading.
func readDamaged[T any](s *Store, name, copied string) (list, spare []T, wrong error) {
	v := View{GraphRoot: s.config.GraphRoot}
	_ = v.read(filepath.Base(s.path(copied)), &spare)
	if wrong = v.read(name, &list); wrong != nil {
		list = nil
	} else if list == nil && len(spare) > 0 {
		wrong = fmt.Errorf("%s is missing", filepath.Join(s.config.GraphRoot, name))
	}
	return list, spare, wrong
}

func short(id string) string { return id[:min(12, len(id))] }
