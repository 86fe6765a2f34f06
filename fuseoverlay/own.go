package fuseoverlay

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/archive"
	"rootlet/fuseoverlay/changes"
)

// OwnOptions says which container's own files are meant.
type OwnOptions struct {
	// Dir is the container's directory, as MountOptions has it.
	Dir string
	// UIDs and GIDs are those that its root is mounted with.
	UIDs, GIDs []Shift
	// Skip names paths that are not the container's doing; it may be nil.
	Skip func(path string) bool
}

// own is what a container has of its own, open, on top of its image.
type own struct {
	changes.Source
	layers []int // the image's
	exists bool
}

// openOwn opens a container's own files where its driver keeps them. A container
// that has never been mounted has none.
func (s *Store) openOwn(img *Image, o OwnOptions) (*own, error) {
	layers, err := s.openChain(img.TopLayer)
	if err != nil {
		return nil, err
	}
	c := &own{layers: layers}
	c.Own.FD = -1
	c.Skip = o.Skip
	if c.Skip == nil {
		c.Skip = func(string) bool { return false }
	}
	for _, fd := range layers {
		c.Image = append(c.Image, changes.Layer{FD: fd})
	}
	driver, err := recordedDriver(o.Dir)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	name := upperName
	if driver == Copy {
		name = treeName
		c.Whole, c.Copied = true, copiedAt(ownDir(o.Dir))
		c.UID, c.GID = unshifter(o.UIDs), unshifter(o.GIDs)
	}
	c.Own.Fuse = driver == FuseOverlayfs
	c.Own.FD, err = unix.Open(filepath.Join(ownDir(o.Dir), name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, errors.Join(&os.PathError{Op: "open", Path: filepath.Join(ownDir(o.Dir), name), Err: err}, c.Close())
	}
	c.exists = err == nil
	return c, nil
}

// Close lets go of it.
func (c *own) Close() error {
	closeAll(c.layers)
	if c.exists {
		return unix.Close(c.Own.FD)
	}
	return nil
}

// copiedAt is when the copy driver had made a container's tree, zero where it
// has not said so.
func copiedAt(dir string) unix.Timespec {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, copiedFile), &st); err != nil {
		return unix.Timespec{}
	}
	return st.Mtim
}

// unshifter undoes shifter, for files that were copied with another owner.
func unshifter(shifts []Shift) func(uint32) uint32 {
	if len(shifts) == 0 {
		return nil
	}
	return func(id uint32) uint32 {
		for _, s := range shifts {
			if id >= s.To && id-s.To < s.Size {
				return s.From + (id - s.To)
			}
		}
		return id
	}
}

// Changes lists what a container has changed in its root, sorted by path.
func (s *Store) Changes(img *Image, o OwnOptions) ([]changes.Change, error) {
	c, err := s.openOwn(img, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if !c.exists {
		return nil, nil
	}
	return c.List()
}

// writer begins an archive of the container's files, under the image's owners.
func (c *own) writer(ctx context.Context, to io.Writer) *archive.Writer {
	return archive.NewWriter(ctx, to, archive.WriteOptions{UID: c.UID, GID: c.GID, RecordedOwners: onlyOneID()})
}

// Export writes a container's whole root as an archive. What is mounted over it
// is not in it.
func (s *Store) Export(ctx context.Context, to io.Writer, img *Image, o OwnOptions) error {
	c, err := s.openOwn(img, o)
	if err != nil {
		return err
	}
	defer c.Close()
	all := c.Image
	switch {
	case c.Whole && c.exists:
		all = changes.Layers{c.Own}
	case c.exists:
		all = append(changes.Layers{c.Own}, c.Image...)
	}
	if c.Own.Opaque() {
		all = all[:1]
	}
	w := c.writer(ctx, to)
	err = all.Walk(func(dir int, base, name string) error {
		return w.Entry(dir, base, name)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// LayerChanges says what WriteLayer has written.
type LayerChanges struct {
	Entries int      // none: the container's root is as its image's
	Left    []string // names that a layer cannot hold: they would hide others
}

// WriteLayer writes what a container has changed as a layer, in the form of the
// OCI image specification (layer.md).
func (s *Store) WriteLayer(ctx context.Context, to io.Writer, img *Image, o OwnOptions) (LayerChanges, error) {
	var result LayerChanges
	c, err := s.openOwn(img, o)
	if err != nil {
		return result, err
	}
	defer c.Close()
	w := c.writer(ctx, to)
	if c.exists {
		l := &layerWriter{own: c, w: w, result: &result, dir: -1}
		defer l.forget()
		if err := l.write(); err != nil {
			return result, err
		}
	}
	return result, w.Close()
}

// layerWriter is one call of WriteLayer.
type layerWriter struct {
	own    *own
	w      *archive.Writer
	result *LayerChanges

	dir     int // the directory of the last entry, or -1
	dirName string
}

func (l *layerWriter) write() error {
	list, err := l.own.List()
	if err != nil {
		return err
	}
	rootChanged, err := l.own.RootChanged()
	if err != nil {
		return err
	}
	if rootChanged {
		if err := l.w.Entry(l.own.Own.FD, ".", "."); err != nil {
			return err
		}
		l.result.Entries++
	}
	for _, change := range list {
		if err := l.change(change); err != nil {
			return err
		}
	}
	return nil
}

// whiteoutPrefix marks, in an archive, what hides a name of the layers below.
const whiteoutPrefix = ".wh."

func (l *layerWriter) change(change changes.Change) error {
	dir, base := path.Split(strings.TrimPrefix(change.Path, "/"))
	if strings.HasPrefix(base, whiteoutPrefix) || strings.Contains("/"+dir, "/"+whiteoutPrefix) {
		l.result.Left = append(l.result.Left, change.Path)
		return nil
	}
	l.result.Entries++
	if change.Kind == changes.Deleted {
		return l.w.Header(&tar.Header{Typeflag: tar.TypeReg, Name: dir + whiteoutPrefix + base, Mode: 0o600, Format: tar.FormatPAX})
	}
	if err := l.enter(path.Clean(dir)); archive.Vanished(err) {
		return nil
	} else if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return l.w.Entry(l.dir, base, dir+base)
}

// enter opens the directory of an entry; they come directory by directory,
// mostly.
func (l *layerWriter) enter(dir string) error {
	if l.dir >= 0 && l.dirName == dir {
		return nil
	}
	l.forget()
	fd, err := unix.Openat2(l.own.Own.FD, dir, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return err
	}
	l.dir, l.dirName = fd, dir
	return nil
}

func (l *layerWriter) forget() {
	if l.dir >= 0 {
		unix.Close(l.dir)
	}
	l.dir = -1
}
