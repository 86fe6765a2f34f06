package cli

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// rmiCmd is `rootlet rmi`.
type rmiCmd struct {
	Images []string `arg:"" name:"image" help:"Names or ids."`
	Force  bool     `name:"force" short:"f" help:"One with several names, too; and not to find one is no error."`
}

// Run removes the images one after another and goes on past one that cannot be.
func (c *rmiCmd) Run(a *app) error {
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	wrong := false
	for _, given := range c.Images {
		name, err := storedName(view(paths), given)
		var gone removedImage
		if err == nil {
			err = a.have(plan, work{Paths: paths, Rmi: &rmiWork{Name: name, Given: given, Force: c.Force}}, nil, &gone)
		}
		switch {
		case err == nil:
			printRemoved(a, gone)
		case c.Force && errors.Is(err, fuseoverlay.ErrNoImage):
			a.notice(err.Error())
		default:
			a.failed(err)
			wrong = true
		}
	}
	if wrong {
		return exitStatus(ExitError)
	}
	return nil
}

// removedImage is an image that is gone.
type removedImage struct {
	ID       string   `json:"id"`
	Names    []string `json:"names"`
	TopLayer string   `json:"topLayer"`
}

func printRemoved(a *app, image removedImage) {
	for _, name := range image.Names {
		repository, tag := splitName(name)
		fmt.Fprintln(a.stdout, "Untagged: "+printable(repository+":"+tag))
	}
	fmt.Fprintln(a.stdout, "Deleted: sha256:"+image.ID)
}

// rmiWork removes one image, for the worker.
type rmiWork struct {
	Name  string `json:"name"`
	Given string `json:"given"`
	Force bool   `json:"force,omitempty"`
}

func (w *rmiWork) do(t *task) (any, error) {
	image, err := t.store.Image(w.Name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, fmt.Errorf("%w: %s", fuseoverlay.ErrNoImage, w.Given)
	}
	if err != nil {
		return nil, err
	}
	if len(image.Names) > 1 && !w.Force {
		return nil, &namedError{w.Given, image.Names}
	}
	return t.removeImage(image)
}

// removeImage removes an image that no container is made of.
func (t *task) removeImage(image *fuseoverlay.Image) (removedImage, error) {
	err := t.store.RemoveImage(image.ID, func() error { return unused(t.Paths, image) })
	if err != nil {
		return removedImage{}, err
	}
	gone := removedImage{ID: image.ID, Names: image.Names, TopLayer: image.TopLayer}
	for _, name := range image.Names {
		t.imageEvent("untag", image.ID, name)
	}
	t.imageEvent("delete", image.ID, "sha256:"+image.ID)
	return gone, nil
}

func (t *task) imageEvent(action, id, name string) {
	attributes := map[string]string{"name": name}
	_ = events.Append(t.Paths.Data, events.Event{Type: events.Image, Action: action, ID: "sha256:" + id, Attributes: attributes})
}

// unused refuses to remove an image from below a container.
func unused(paths sandbox.Paths, image *fuseoverlay.Image) error {
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Spec.ImageID == image.ID {
			return &inUseError{image: image.ID[:12], container: e.Spec.Name}
		}
	}
	return nil
}

// inUseError refuses to remove an image that a container is made of.
type inUseError struct{ image, container string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("cannot remove image %s: container %s is made of it", e.image, e.container)
}

// Hint says what to type.
func (e *inUseError) Hint() string {
	return fmt.Sprintf("remove the container first: `rootlet rm %s`", e.container)
}

// namedError refuses to take an image from under its other names.
type namedError struct {
	given string
	names []string
}

func (e *namedError) Error() string {
	return fmt.Sprintf("cannot remove image %q: it has more than one name: %s", e.given, strings.Join(e.names, ", "))
}

// Hint says what to type.
func (e *namedError) Hint() string {
	return fmt.Sprintf("`rootlet rmi -f %s` removes it under all of them", e.given)
}
