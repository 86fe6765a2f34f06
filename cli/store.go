package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/imagestore"
)

// storePublishCmd is `rootlet store publish`. It reads and writes files as the user; no
// namespace.
type storePublishCmd struct {
	Dir    string   `arg:"" name:"dir" help:"The image store, made if it is not there."`
	Images []string `arg:"" name:"image" help:"Names or ids of images that are here."`
	Group  string   `name:"group" placeholder:"GROUP" help:"Only this group, which you are in, may use the store."`
	Quiet  bool     `name:"quiet" short:"q" help:"No progress."`
}

// Run puts the images into the store, all of them or none.
func (c *storePublishCmd) Run(a *app) error {
	a.quiet = c.Quiet
	paths, err := findPaths()
	if err != nil {
		return err
	}
	kept, err := a.openKept(paths)
	if err != nil {
		return err
	}
	var images []savedImage
	for _, given := range c.Images {
		image, err := kept.find(given)
		if err != nil {
			return err
		}
		images = append(images, image)
	}
	err = a.unlessSignalled(func(ctx context.Context) error { return c.publish(ctx, a, kept, images) })
	if err != nil {
		return whereFull(err, c.Dir, paths.Data)
	}
	for _, i := range images {
		for _, name := range i.names {
			fmt.Fprintln(a.stdout, "Published image: "+printable(familiar(name)))
		}
		if len(i.names) == 0 {
			fmt.Fprintln(a.stdout, "Published image ID: sha256:"+i.ID)
		}
	}
	if made := kept.madeHere(images); made != "" && openToAll(c.Dir) {
		a.notice(fmt.Sprintf("whoever may enter %s can unpack %s, with the files that are closed in it: --group or chmod leaves it to fewer", c.Dir, made))
	}
	if closed := closedAbove(c.Dir); closed != "" && c.Group == "" {
		a.notice(fmt.Sprintf("others do not reach %s: %s is closed to them", c.Dir, closed))
	}
	return nil
}

func (c *storePublishCmd) publish(ctx context.Context, a *app, kept keptImages, images []savedImage) error {
	w, err := imagestore.Create(c.Dir, a.waiting(c.Dir))
	if err != nil {
		return &storeError{c.Dir, err}
	}
	defer w.Close()
	if c.Group != "" {
		if err := c.forGroup(w); err != nil {
			return &storeError{c.Dir, err}
		}
	}
	layers, err := kept.view.Layers()
	if err != nil {
		return err
	}
	for _, i := range images {
		if err := c.one(ctx, a, w, kept, i, layers); err != nil {
			return err
		}
	}
	return w.Commit()
}

// madeHere is an image that did not come from a registry, which more may know than its
// maker thinks of; empty where there is none.
func (k keptImages) madeHere(images []savedImage) string {
	for _, i := range images {
		if slices.ContainsFunc(pull.BlobsOf(i.Manifest), k.blobs.Packed) {
			return i.given
		}
	}
	return ""
}

func openToAll(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o001 != 0
}

// forGroup leaves the store to a group.
func (c *storePublishCmd) forGroup(w *imagestore.Writer) error {
	group, err := user.LookupGroup(c.Group)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return err
	}
	err = w.ForGroup(gid)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("you are not in the group %s", c.Group)
	}
	return err
}

func (c *storePublishCmd) one(ctx context.Context, a *app, w *imagestore.Writer, kept keptImages, i savedImage, layers fuseoverlay.Layers) error {
	var sizes []int64
	for _, id := range layers.Below(i.TopLayer) {
		sizes = append(sizes, layers[id].Size)
	}
	slices.Reverse(sizes)
	bars := newProgress(a, c.Quiet)
	defer bars.close()
	_, err := pull.Push(ctx, pull.Stored{Manifest: i.Manifest, Config: i.Config}, kept.blobs, w.Target(i.names, sizes), []string{""},
		pull.PushOptions{Compression: "zstd", AsCame: true, Parallel: 1, Events: bars.pushing})
	return kept.unsent("publish", i.given, i, err)
}

// waiting tells of another who writes to a store.
func (a *app) waiting(dir string) func() {
	return func() { a.notice("waiting for another who writes to " + dir) }
}

// closedAbove is a directory above a store which not everybody may enter, empty where
// there is none.
func closedAbove(dir string) string {
	dir, err := filepath.Abs(dir)
	for err == nil {
		info, statErr := os.Stat(dir)
		if statErr != nil || info.Mode().Perm()&0o001 == 0 {
			return dir
		}
		if dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// storeError is what is wrong with a store.
type storeError struct {
	dir string
	err error
}

func (e *storeError) Error() string { return fmt.Sprintf("image store %s: %v", e.dir, bare(e.err)) }
func (e *storeError) Unwrap() error { return e.err }

// Hint is that of the cause.
func (e *storeError) Hint() string {
	var hinted interface{ Hint() string }
	if errors.As(e.err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// storeLsCmd is `rootlet store ls`.
type storeLsCmd struct {
	Dir     string `arg:"" name:"dir" help:"The image store."`
	Format  string `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	NoTrunc bool   `name:"no-trunc" help:"Do not shorten."`
	Quiet   bool   `name:"quiet" short:"q" help:"Ids only."`
}

// Run prints the table of `rootlet images`, of this store alone.
func (c *storeLsCmd) Run(a *app) error {
	s, err := imagestore.Open(c.Dir)
	if err != nil {
		return &storeError{c.Dir, err}
	}
	defer s.Close()
	list := imagesCmd{Format: c.Format, NoTrunc: c.NoTrunc, Quiet: c.Quiet}
	var rows []any
	damaged := false
	for _, e := range s.Entries {
		image, err := s.Image(e)
		if err != nil {
			a.failed(fmt.Errorf("image %s: %w", entryName(e), err))
			damaged = true
			continue
		}
		rows = append(rows, list.rows(storedImage(c.Dir, image).Image, nil, a.began)...)
	}
	out := format{text: c.Format, columns: imagesColumns, raw: imagesRaw, quiet: c.Quiet}
	if err := out.list(a.stdout, imageHeader(), rows); err != nil || !damaged {
		return err
	}
	return exitStatus(ExitError)
}

// storeRmCmd is `rootlet store rm`.
type storeRmCmd struct {
	Dir    string   `arg:"" name:"dir" help:"The image store."`
	Images []string `arg:"" name:"image" help:"Names or ids."`
}

// Run takes the images out of the store, all of them or none.
func (c *storeRmCmd) Run(a *app) error {
	var lines []string
	err := a.unlessSignalled(func(context.Context) error {
		w, err := imagestore.Change(c.Dir, a.waiting(c.Dir))
		if err != nil {
			return &storeError{c.Dir, err}
		}
		defer w.Close()
		for _, given := range c.Images {
			removed, err := c.one(w, given)
			if err != nil {
				return &storeError{c.Dir, err}
			}
			lines = append(lines, removed...)
		}
		return w.Commit()
	})
	if err != nil {
		return err
	}
	for _, line := range lines {
		fmt.Fprintln(a.stdout, printable(line))
	}
	return nil
}

// one takes away a name, or what has an id.
func (c *storeRmCmd) one(w *imagestore.Writer, given string) (lines []string, err error) {
	name, nameErr := imageName(given)
	digits := strings.TrimPrefix(given, "sha256:")
	var meant *imagestore.Image
	for _, e := range w.Entries() {
		if nameErr == nil && slices.Contains(e.Names, name) {
			w.Remove(e, []string{name})
			lines = append(lines, "Untagged: "+familiar(name))
			if len(e.Names) == 1 {
				lines = append(lines, "Deleted: "+e.Digest)
			}
			return lines, nil
		}
		image, err := w.Image(e)
		if err != nil || digits == "" || !strings.HasPrefix(image.ID, digits) {
			continue // one that is damaged has its names still
		}
		if meant != nil {
			return nil, fmt.Errorf("%s is the beginning of several ids", given)
		}
		meant = image
	}
	if meant == nil {
		return nil, noImage(given)
	}
	w.Remove(meant.Entry, meant.Names)
	for _, name := range meant.Names {
		lines = append(lines, "Untagged: "+familiar(name))
	}
	return append(lines, "Deleted: "+meant.Digest), nil
}
