package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/term"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/blobs"
	"rootlet/pull/transport"
	"rootlet/sandbox"
)

// saveCmd is `rootlet save`. It reads files; no namespace, no lock.
type saveCmd struct {
	Images   []string `arg:"" name:"image" help:"Names or ids."`
	Output   string   `name:"output" short:"o" placeholder:"FILE" default:"-" help:"A file, or a directory for the formats that are one; standard output if not given."`
	Format   string   `name:"format" enum:"docker-archive,oci-archive,oci-dir,docker-dir" default:"docker-archive" help:"docker-archive, oci-archive, oci-dir or docker-dir."`
	Compress string   `name:"compress" enum:"auto,none,gzip,zstd" default:"auto" placeholder:"HOW" help:"The archive as a whole: none, gzip or zstd; as the file's name says if not given."`
	Platform string   `name:"platform" placeholder:"OS/ARCH" help:"Refuse images for another one."`
	Quiet    bool     `name:"quiet" short:"q" help:"Nothing is shown anyway."`
}

// formats are the names that Podman has for the kinds.
func (c *saveCmd) kind() transport.Kind {
	switch c.Format {
	case "oci-dir":
		return transport.OCI
	case "docker-dir":
		return transport.Dir
	}
	return transport.Kind(c.Format)
}

// Run writes the images.
func (c *saveCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	store, err := a.openKept(paths)
	if err != nil {
		return err
	}
	var images []savedImage
	for _, given := range c.Images {
		found, err := store.findAll(given)
		if err != nil {
			return err
		}
		images = append(images, found...)
	}
	for _, i := range images {
		if err := pull.Suits(i.Config, c.Platform); err != nil {
			return fmt.Errorf("%s: %w", i.given, err)
		}
	}
	err = a.write(c.kind(), c.Output, c.Compress, func(ctx context.Context, to *transport.Target) error {
		for _, i := range images {
			if err := store.save(ctx, i, to); err != nil {
				return err
			}
		}
		return nil
	})
	return whereFull(err, c.Output, paths.Data)
}

// keptImages are the images of the store, with their blobs.
type keptImages struct {
	view  fuseoverlay.View
	blobs *blobs.Store
	drops bool // keep-blobs = false
}

func (a *app) openKept(paths sandbox.Paths) (keptImages, error) {
	b, err := openBlobs(paths)
	if err != nil {
		return keptImages{}, err
	}
	return keptImages{a.view(paths), b.KeepFree(a.config.Limits.FreeDisk).With(a.storeBlobs()), a.config.DropBlobs}, nil
}

// savedImage is an image and the names that it is to have where it goes.
type savedImage struct {
	*fuseoverlay.Image
	given string
	names []string
}

// findAll finds an image, or where a repository without a tag is given, all of
// that repository, as Docker does.
func (k keptImages) findAll(given string) ([]savedImage, error) {
	ref, err := pull.ParseReference(given)
	if bare := !strings.ContainsAny(path.Base(given), ":@"); err != nil || !bare {
		one, err := k.find(given)
		return []savedImage{one}, err
	}
	all, err := k.view.Images()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range all {
		for _, name := range i.Names {
			if strings.HasPrefix(name, ref.Registry()+"/"+ref.Repository()+":") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var found []savedImage
	for _, name := range names {
		i, err := k.find(name)
		if err != nil {
			return nil, err
		}
		i.given = given
		found = append(found, i)
	}
	if len(found) == 0 {
		one, err := k.find(given)
		return []savedImage{one}, err
	}
	return found, nil
}

// find finds one image. By its id it is saved without a name.
func (k keptImages) find(given string) (savedImage, error) {
	name, err := storedName(k.view, given)
	if err != nil {
		return savedImage{}, err
	}
	i, err := k.view.Image(name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return savedImage{}, fmt.Errorf("%w: %s", fuseoverlay.ErrNoImage, given)
	}
	if err != nil {
		return savedImage{}, err
	}
	s := savedImage{Image: i, given: given}
	if name != i.ID && !strings.Contains(name, "@") {
		s.names = []string{name}
	}
	return s, nil
}

// save writes one image as it came. One layer comes after the other, so that the
// same images make the same archive.
func (k keptImages) save(ctx context.Context, i savedImage, to pull.Target) error {
	names := i.names
	if len(names) == 0 {
		names = []string{i.Digest}
	}
	image := pull.Stored{Manifest: i.Manifest, Config: i.Config}
	_, err := pull.Push(ctx, image, k.blobs, to, names, pull.PushOptions{AsItIs: true, Parallel: 1})
	return k.unsent("save", i.given, i, err)
}

// unsent says why an image was not saved or pushed, and how to get what is missing
// here.
func (k keptImages) unsent(step, what string, i savedImage, err error) error {
	explained := pull.Explain(step, what, err)
	if errors.Is(err, pull.ErrNoBlob) || errors.Is(err, blobs.ErrDamaged) {
		return &unsentError{explained, i.given, k.drops}
	}
	return explained
}

// unsentError is a save or push of an image whose bytes are not all here.
type unsentError struct {
	error
	image string
	drops bool // a pull would not keep them either
}

// Unwrap gives the cause.
func (e *unsentError) Unwrap() error { return e.error }

// Hint says how to get them.
func (e *unsentError) Hint() string {
	hint := fmt.Sprintf("`rootlet pull %s` brings it back", e.image)
	if e.drops {
		hint = "set keep-blobs = true in rootlet's config.toml: then " + hint
	}
	return hint
}

// write has images written to a file, a directory, or standard output.
func (a *app) write(kind transport.Kind, file, compress string, send func(context.Context, *transport.Target) error) error {
	if kind.IsDir() {
		if file == stdinPath {
			return fmt.Errorf("%s is a directory: say which with -o", kind)
		}
		return a.writeDirectory(kind, file, send)
	}
	archive := func(w io.Writer) error {
		packed, err := compressor(w, file, compress)
		if err != nil {
			return err
		}
		target, err := transport.NewArchive(packed, kind)
		if err != nil {
			return err
		}
		defer target.Close()
		if err := send(context.Background(), target); err != nil {
			return err
		}
		return errors.Join(target.Finish(), packed.Close())
	}
	if file != stdinPath {
		return toFile(file, archive)
	}
	if stdout, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(stdout.Fd())) {
		return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
	}
	return archive(a.stdout)
}

// writeDirectory writes into a directory that is there or is made. A signal takes
// back what was written.
func (a *app) writeDirectory(kind transport.Kind, path string, send func(context.Context, *transport.Target) error) (err error) {
	switch made := os.Mkdir(path, 0o755); {
	case made == nil:
		defer func() {
			if err != nil {
				_ = os.Remove(path)
			}
		}()
	case !errors.Is(made, fs.ErrExist):
		return made
	}
	top, err := os.Open(path)
	if err != nil {
		return err
	}
	target, err := transport.NewDirectory(top, kind)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), top.Close())
	}
	return a.unlessSignalled(func(ctx context.Context) error {
		err := send(ctx, target)
		if err == nil {
			err = target.Finish()
		}
		return errors.Join(err, target.Close())
	})
}

// unlessSignalled does work that the user may break off.
func (a *app) unlessSignalled(do func(context.Context) error) error {
	a.catchSignals()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	for {
		select {
		case err := <-done:
			var interrupted *interruptedError
			if cause := context.Cause(ctx); errors.As(cause, &interrupted) {
				return cause
			}
			return err
		case s := <-a.signals:
			if sandbox.EndsWork(s) {
				cancel(&interruptedError{s.(syscall.Signal)})
			}
		}
	}
}

// compressor packs an archive as the user wants it, or its name says.
func compressor(w io.Writer, path, how string) (io.WriteCloser, error) {
	switch {
	case how == "gzip", how == "auto" && hasSuffix(path, ".gz", ".tgz"):
		return gzip.NewWriterLevel(w, gzip.DefaultCompression)
	case how == "zstd", how == "auto" && hasSuffix(path, ".zst", ".zstd", ".tzst"):
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return unpacked{w}, nil
}

func hasSuffix(path string, suffixes ...string) bool {
	for _, s := range suffixes {
		if strings.HasSuffix(path, s) {
			return true
		}
	}
	return false
}

// unpacked is what is not compressed.
type unpacked struct{ io.Writer }

// Close implements io.Closer.
func (unpacked) Close() error { return nil }
