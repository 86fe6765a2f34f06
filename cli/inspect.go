package cli

import (
	"errors"
	"fmt"
	"slices"

	"rootlet/cli/inspect"
	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// inspectFlags are what every inspect has.
type inspectFlags struct {
	Names  []string `arg:"" name:"name" help:"Names or ids."`
	Format string   `name:"format" short:"f" placeholder:"FORMAT" help:"json, or a Go template."`
}

// inspectCmd is `rootlet inspect`. It reads files; no namespace, no lock. Only
// for sizes does it need a worker.
type inspectCmd struct {
	inspectFlags
	Size bool   `name:"size" short:"s" help:"The sizes of containers, too."`
	Type string `name:"type" placeholder:"TYPE" help:"container, image, network or volume; whatever has the name if not given."`
}

// Run prints what is known of each name.
func (c *inspectCmd) Run(a *app) error {
	kinds := objectKinds[:]
	if c.Type != "" {
		if !slices.Contains(kinds, c.Type) {
			return fmt.Errorf("%q is not a valid value for --type: container, image, network or volume", c.Type)
		}
		kinds = []string{c.Type}
	}
	if c.Size && c.Type != "" && c.Type != kindContainer {
		a.notice("--size says nothing of a thing of type " + c.Type)
	}
	return c.run(a, c.Size, kinds)
}

// containerInspectCmd is `rootlet container inspect`.
type containerInspectCmd struct {
	inspectFlags
	Size bool `name:"size" short:"s" help:"Their sizes, too."`
}

// Run prints what is known of each container.
func (c *containerInspectCmd) Run(a *app) error { return c.run(a, c.Size, []string{kindContainer}) }

// objectInspectCmd is `rootlet image inspect`, and that of volumes and networks.
type objectInspectCmd struct {
	inspectFlags
	kind string
}

// Run prints what is known of each thing of that kind.
func (c *objectInspectCmd) Run(a *app) error { return c.run(a, false, []string{c.kind}) }

// What can be inspected, in the order in which a bare name is looked up.
const (
	kindContainer = "container"
	kindImage     = "image"
	kindNetwork   = "network"
	kindVolume    = "volume"
)

var objectKinds = [...]string{kindContainer, kindImage, kindNetwork, kindVolume}

func (f *inspectFlags) run(a *app, size bool, kinds []string) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	out, err := newInspection(f.Format)
	if err != nil {
		return err
	}
	finder := finder{app: a, paths: paths, size: size}
	failed := a.each(f.Names, func(name string) error {
		object, err := finder.find(name, kinds)
		if err != nil {
			return err
		}
		return out.add(object)
	})
	return errors.Join(out.print(a.stdout), failed)
}

// finder looks things up.
type finder struct {
	*app
	paths sandbox.Paths
	size  bool
}

// missingError says that nothing of a kind has a name.
type missingError struct{ message string }

func (e *missingError) Error() string { return e.message }

// find returns the first thing of that name.
func (f *finder) find(name string, kinds []string) (any, error) {
	for _, kind := range kinds {
		object, err := f.one(name, kind)
		var missing *missingError
		if err == nil || !errors.As(err, &missing) {
			return object, err
		}
		if len(kinds) == 1 {
			return nil, err
		}
	}
	return nil, &missingError{"no such object: " + name}
}

func (f *finder) one(name, kind string) (any, error) {
	switch kind {
	case kindContainer:
		return f.container(name)
	case kindImage:
		return f.image(name)
	case kindNetwork:
		return f.network(name)
	}
	v, err := inspectVolume(f.paths, name)
	var missing *volume.NotFoundError
	if errors.As(err, &missing) {
		return nil, &missingError{err.Error()}
	}
	return v, err
}

func (f *finder) container(given string) (any, error) {
	root := record.Root(f.paths.Data)
	id, err := root.Find(given)
	var e record.Entry
	if err == nil {
		e, err = root.Read(id)
	}
	var missing *record.NotFoundError
	if errors.As(err, &missing) {
		return nil, &missingError{"no such container: " + given}
	}
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return nil, err
	}
	from := inspect.Sources{
		Dir: root.Dir(id), Mountpoint: volume.In(f.paths.Data).Mountpoint,
		Masked: sandbox.MaskedPaths(), ReadOnly: sandbox.ReadOnlyPaths(),
	}
	if from.Driver.Name, from.Driver.Data, err = fuseoverlay.Places(from.Dir); err != nil {
		return nil, fmt.Errorf("container %s: storage driver: %w", given, err)
	}
	if from.Refused, _, err = refusals(from.Dir); err != nil {
		return nil, fmt.Errorf("container %s: %w", given, err)
	}
	if f.size {
		if err := f.measure(e, &from); err != nil {
			return nil, err
		}
	}
	e.Spec.Ulimits = sandbox.Limits(&e.Spec)
	return inspect.ContainerOf(e, from), nil
}

// measure asks for the size of what a container has written, and of its image.
func (f *finder) measure(e record.Entry, from *inspect.Sources) error {
	written, err := f.written(f.paths, []record.Entry{e})
	if err != nil {
		return err
	}
	size := written[e.ID]
	from.Written = &size
	images, err := f.view(f.paths).Images()
	for _, i := range images {
		if i.ID == e.Spec.ImageID {
			from.ImageSize = i.Size
		}
	}
	return err
}

func (f *finder) image(given string) (any, error) {
	images := f.view(f.paths)
	missing := &missingError{"no such image: " + given}
	name, err := storedName(images, given)
	if err != nil {
		return nil, missing // no image can have such a name
	}
	i, err := images.Image(name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	layers, err := images.LayerDirs(i)
	if err != nil {
		return nil, err
	}
	return inspect.ImageOf(i, layers, splitName)
}

func (f *finder) network(given string) (any, error) {
	entries, err := record.Root(f.paths.Data).ListAlive()
	if err != nil {
		return nil, err
	}
	n, err := describeNetwork(f.paths, given, entries)
	var missing *noNetworkError
	if errors.As(err, &missing) {
		return nil, &missingError{err.Error()}
	}
	return n, err
}
