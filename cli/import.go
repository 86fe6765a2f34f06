package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/archive"
	"rootlet/pull"
	"rootlet/pull/registry"
	"rootlet/pull/transport"
)

// importCmd is `rootlet import`.
type importCmd struct {
	Source   string   `arg:"" name:"file" help:"A tar archive, a directory, an http(s) URL, or - for standard input."`
	Image    string   `arg:"" optional:"" help:"REPOSITORY[:TAG] of the image; without it the image has no name."`
	Change   []string `name:"change" short:"c" sep:"none" placeholder:"LINE" help:"A line of a Dockerfile to apply; repeatable."`
	Message  string   `name:"message" short:"m" placeholder:"TEXT" help:"What for."`
	Platform string   `name:"platform" env:"DOCKER_DEFAULT_PLATFORM" placeholder:"OS/ARCH" help:"What it is for; this machine if not given."`
	Quiet    bool     `name:"quiet" short:"q" help:"No progress."`
}

// Run makes an image of one layer and prints its id.
func (c *importCmd) Run(a *app) error {
	name, err := commitName(c.Image)
	if err != nil {
		return err
	}
	if _, err := c.derive(nil, a.began); err != nil {
		return err // before all the copying
	}
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	tar, layer, err := c.layer(a, paths.Data)
	if err != nil {
		return pull.Explain("import", c.Source, err)
	}
	image, err := c.derive(layer, a.began)
	if err != nil {
		return errors.Join(err, tar.Close())
	}
	w := importWork{Source: c.Source, Name: name, Config: image.Config, Manifest: image.Manifest}
	bars := newProgress(a, c.Quiet)
	defer bars.close()
	var result pull.Result
	if err := a.haveBy(plan.Start, work{Paths: paths, Import: &w}, bars.event, &result, tar); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, "sha256:"+result.ID)
	return err
}

// derive makes the image's record; without a layer it shows whether it can.
func (c *importCmd) derive(layer *pull.AddedLayer, now time.Time) (pull.ImageRecord, error) {
	base, err := pull.Scratch(c.Platform)
	if err != nil {
		return pull.ImageRecord{}, err
	}
	message := c.Message
	if message == "" {
		message = "Imported from " + c.Source
	}
	return pull.Derive(pull.Derivation{Base: base, Layer: layer, Changes: c.Change, Created: now, Comment: message})
}

// layer brings the source into a file, as an uncompressed tar.
func (c *importCmd) layer(a *app, dir string) (*os.File, *pull.AddedLayer, error) {
	tar, err := c.open(a)
	if err != nil {
		return nil, nil, err
	}
	defer tar.Close()
	digest := sha256.New()
	f, err := a.spool(dir, io.TeeReader(tar, digest))
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, &pull.AddedLayer{DiffID: fmt.Sprintf("sha256:%x", digest.Sum(nil)), Size: info.Size()}, nil
}

// open opens the source for reading it once.
func (c *importCmd) open(a *app) (io.ReadCloser, error) {
	if strings.HasPrefix(c.Source, "http://") || strings.HasPrefix(c.Source, "https://") {
		return unpackedFrom(registry.Download(context.Background(), c.Source, registry.ProxyFrom(os.Getenv)))
	}
	f, err := a.openInput(c.Source)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		f.Close()
		return openTree(c.Source)
	}
	return unpackedFrom(f, err)
}

// unpackedFrom is the tar in what was opened.
func unpackedFrom(r io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	tar, err := pull.Uncompressed(r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &chained{tar, r}, nil
}

// chained closes what it reads from, too.
type chained struct {
	io.ReadCloser
	below io.Closer
}

// Close implements io.Closer.
func (c *chained) Close() error { return errors.Join(c.ReadCloser.Close(), c.below.Close()) }

// openTree is a directory of the host as a tar, in which what is the user's own
// is root's.
func openTree(dir string) (io.ReadCloser, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	top := os.NewFile(uintptr(fd), dir)
	r, w := io.Pipe()
	go func() {
		defer top.Close()
		tar := archive.NewWriter(context.Background(), w, archive.WriteOptions{UID: rootFor(os.Getuid()), GID: rootFor(os.Getgid())})
		err := tar.Tree(top, ".")
		if err == nil {
			err = tar.Close()
		}
		w.CloseWithError(err)
	}()
	return r, nil
}

func rootFor(own int) func(uint32) uint32 {
	return func(id uint32) uint32 {
		if int(id) == own {
			return 0
		}
		return id
	}
}

// importWork puts an image of one layer into the store, for the worker.
type importWork struct {
	Source   string `json:"source"`
	Name     string `json:"name,omitempty"`
	Config   []byte `json:"config"`
	Manifest []byte `json:"manifest"`
}

func (w *importWork) do(ctx context.Context, t *task) (any, error) {
	from, err := transport.OneLayer(os.NewFile(streamFD, w.Source), w.Manifest, w.Config)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	var names []string
	if w.Name != "" {
		names = []string{w.Name}
	}
	options, err := t.installOptions()
	if err != nil {
		return nil, err
	}
	options.AsItIs = true
	result, err := pull.FromSource(ctx, from, "", names, options, storeForPull{t.store})
	if err != nil {
		return nil, pull.Explain("import", w.Source, err)
	}
	t.imageEvent("import", result.ID, w.Name)
	return result, nil
}
