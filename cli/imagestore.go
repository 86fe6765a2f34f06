package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/imagestore"
	"rootlet/sandbox"
	"rootlet/userns"
)

// Image stores (--image-store) are other users' directories with images that are used
// here as if they were one's own. All that is read of them is read by the command that
// the user typed, with his own rights; a worker gets open directories of blobs.

// stores are the image stores of this command, opened when they are first needed.
type stores struct {
	dirs   []string
	opened bool
	list   []*imagestore.Store
	failed map[string]error
}

// setImageStores takes over what flags, variable or configuration say.
func (a *app) setImageStores(dirs []string) {
	for _, dir := range dirs {
		if dir == "" {
			continue // which takes back what the configuration says
		}
		if whole, err := filepath.Abs(dir); err == nil {
			dir = whole
		}
		if !slices.Contains(a.stores.dirs, dir) {
			a.stores.dirs = append(a.stores.dirs, dir)
		}
	}
}

// imageStores opens them. One that cannot be used is told of and left out: whoever
// keeps it may have taken it away, and all else goes on.
func (a *app) imageStores() []*imagestore.Store {
	if a.stores.opened {
		return a.stores.list
	}
	a.stores.opened = true
	if a.stores.failed == nil {
		a.stores.failed = map[string]error{}
	}
	for _, dir := range a.stores.dirs {
		s, err := imagestore.Open(dir)
		if err != nil {
			if a.stores.failed[dir] == nil {
				a.notice(fmt.Sprintf("image store %s cannot be used: %v", dir, bare(err)))
			}
			a.stores.failed[dir] = bare(err)
			continue
		}
		a.stores.list = append(a.stores.list, s)
	}
	return a.stores.list
}

// again has the stores opened once more, as they are now.
func (s *stores) again() {
	for _, open := range s.list {
		open.Close()
	}
	s.opened, s.list = false, nil
}

// bare is an error without the path that stands beside it anyway.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// view is the store with the image stores beside it.
func (a *app) view(paths sandbox.Paths) fuseoverlay.View {
	v := view(paths)
	if len(a.stores.dirs) > 0 {
		v.Stores = a.stored
	}
	return v
}

// storeTries is how often a store that changes under its reader is read again.
const storeTries = 3

// stored are the images in image stores that bear a name, or else all.
func (a *app) stored(name string) []fuseoverlay.StoredImage {
	for try := 1; ; try++ {
		list, wrong := a.readStored(name)
		gone := slices.ContainsFunc(wrong, func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
		if gone && try < storeTries {
			a.stores.again()
			continue
		}
		for _, err := range wrong {
			a.notice(err.Error())
		}
		return list
	}
}

func (a *app) readStored(name string) (list []fuseoverlay.StoredImage, wrong []error) {
	bears := func(e imagestore.Entry) bool { return slices.Contains(e.Names, name) }
	all := true
	for _, s := range a.imageStores() {
		all = all && !slices.ContainsFunc(s.Entries, bears)
	}
	for _, s := range a.imageStores() {
		for _, e := range s.Entries {
			if !all && !bears(e) {
				continue
			}
			image, err := s.Image(e)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("image store %s: image %s is left out: %w", s.Dir, entryName(e), err))
				continue
			}
			list = append(list, storedImage(s.Dir, image))
		}
	}
	return list, wrong
}

// entryName is what an entry is called in a message.
func entryName(e imagestore.Entry) string {
	if len(e.Names) > 0 {
		return familiar(e.Names[0])
	}
	return e.Digest
}

// storedImage says it in the words of the layer store.
func storedImage(dir string, i *imagestore.Image) fuseoverlay.StoredImage {
	s := fuseoverlay.StoredImage{Image: fuseoverlay.Image{
		ID: i.ID, Names: i.Names, Digest: i.Digest, Config: i.Config, Manifest: i.Manifest,
		Created: i.Created, Size: i.Size(), In: dir,
	}}
	for n := range i.DiffIDs {
		l := fuseoverlay.StoredLayer{ID: strings.TrimPrefix(pull.TopLayer(i.DiffIDs[:n+1]), "sha256:")}
		if i.Sizes != nil {
			l.Size = i.Sizes[n]
		}
		s.Layers, s.TopLayer = append(s.Layers, l), l.ID
	}
	return s
}

// storeBlobs opens the directories of the blobs of all image stores.
func (a *app) storeBlobs() []*os.File {
	var dirs []*os.File
	for _, s := range a.imageStores() {
		if dir, err := s.Blobs(); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// adopt unpacks an image here that is in an image store only, or gives one that is here
// the name that it has there. Where none has it, or the user has one of this name
// himself, it does nothing.
func (a *app) adopt(plan *userns.Plan, paths sandbox.Paths, name, platform string, quiet bool) error {
	if len(a.stores.dirs) == 0 {
		return nil
	}
	for try := 1; ; try++ {
		found, err := a.view(paths).Image(name)
		if err != nil || found.In == "" || pull.Suits(found.Config, platform) != nil {
			return nil // whoever looks for it next says what is wrong
		}
		if found.Names = a.theirNames(paths, found); slices.Contains(found.Names, name) {
			found.Names = []string{name}
		}
		err = a.adoptFrom(plan, paths, found, quiet)
		if err == nil || try == storeTries || !a.changed(found) {
			return err
		}
	}
}

// theirNames are those names of an image of a store which lead to it here: none that is
// the user's own, or an earlier store's.
func (a *app) theirNames(paths sandbox.Paths, image *fuseoverlay.Image) []string {
	images := a.view(paths)
	var names []string
	for _, name := range image.Names {
		if found, err := images.Find(name); err == nil && found.ID == image.ID && found.In == image.In {
			names = append(names, name)
		}
	}
	return names
}

// changed reads the stores again, and reports whether one has another image now.
func (a *app) changed(was *fuseoverlay.Image) bool {
	a.stores.again()
	for _, s := range a.imageStores() {
		if s.Dir == was.In {
			return !slices.ContainsFunc(s.Entries, func(e imagestore.Entry) bool { return e.Digest == was.Digest })
		}
	}
	return true
}

func (a *app) adoptFrom(plan *userns.Plan, paths sandbox.Paths, image *fuseoverlay.Image, quiet bool) error {
	at := slices.IndexFunc(a.imageStores(), func(s *imagestore.Store) bool { return s.Dir == image.In })
	if at < 0 {
		return noImage(image.ID)
	}
	blobs, err := a.imageStores()[at].Blobs()
	if err != nil {
		return fmt.Errorf("image store %s: %w", image.In, err)
	}
	bars := newProgress(a, quiet)
	defer bars.close()
	w := adoptWork{Store: image.In, Digest: image.Digest, Names: image.Names}
	var done pull.Result
	return a.haveBy(plan.Start, work{Paths: paths, Adopt: &w}, bars.event, &done, blobs)
}

// adoptWork unpacks an image of an image store, for the worker.
type adoptWork struct {
	Store  string   `json:"store"`  // for messages: its blobs are open
	Digest string   `json:"digest"` // of the manifest
	Names  []string `json:"names"`
}

func (w *adoptWork) do(ctx context.Context, t *task) (any, error) {
	options, err := t.installOptions()
	if err != nil {
		return nil, err
	}
	// Blobs stay where they are: push and save find them there.
	options.Blobs, options.AsItIs, options.Shared = nil, true, true
	from := imagestore.From(os.NewFile(streamFD, w.Store))
	defer from.Close()
	result, err := pull.FromSource(ctx, from, w.Digest, w.Names, options, storeForPull{t.store})
	if err == nil {
		return result, nil
	}
	explained := pull.Explain("image store", w.Store, err)
	if errors.Is(explained, pull.DigestMismatch) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, tar.ErrHeader) {
		return nil, &damagedStoreError{w, err}
	}
	return nil, explained
}

// damagedStoreError is an image of an image store that is not what its digests say.
type damagedStoreError struct {
	*adoptWork
	err error
}

func (e *damagedStoreError) Error() string {
	name, what := e.Digest, "something in it is not what its digest says"
	if len(e.Names) > 0 {
		name = familiar(e.Names[0])
	}
	if errors.Is(e.err, fs.ErrNotExist) {
		what = "a part of it is missing"
	}
	return fmt.Sprintf("image store %s: image %s is damaged: %s", e.Store, name, what)
}

// Unwrap gives the cause.
func (e *damagedStoreError) Unwrap() error { return e.err }

// Hint says what helps.
func (e *damagedStoreError) Hint() string {
	hint := "who keeps the store takes it away with `rootlet store rm` and publishes it again"
	if len(e.Names) > 0 {
		hint += fmt.Sprintf("; `rootlet pull %s` has it from its registry", familiar(e.Names[0]))
	}
	return hint
}

// imageStoreInfo is what info says of one.
type imageStoreInfo struct {
	Dir    string
	Images int
	Error  string `json:",omitempty"`
}

// describeStores is for info and doctor, which say of each whether it can be used.
func (a *app) describeStores() []imageStoreInfo {
	list := []imageStoreInfo{}
	was := a.quiet
	a.quiet = true // the same in a notice would be twice
	open := a.imageStores()
	a.quiet = was
	for _, dir := range a.stores.dirs {
		info := imageStoreInfo{Dir: dir}
		if err := a.stores.failed[dir]; err != nil {
			info.Error = err.Error()
		}
		for _, s := range open {
			if s.Dir == dir {
				info.Images = len(s.Entries)
			}
		}
		list = append(list, info)
	}
	return list
}
