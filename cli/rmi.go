package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// rmiCmd is `rootlet rmi`.
type rmiCmd struct {
	Images  []string `arg:"" name:"image" help:"Names or ids."`
	Force   bool     `name:"force" short:"f" help:"One with several names, too; and not to find one is no error."`
	NoPrune bool     `name:"no-prune" help:"Leave untagged parents: nothing here removes any, with or without."`
}

// Run removes the images one after another and goes on past one that cannot be.
func (c *rmiCmd) Run(a *app) error {
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	return a.each(c.Images, func(given string) error {
		name, err := storedName(view(paths), given)
		if err != nil {
			return err
		}
		var gone removedImage
		err = a.have(plan, work{Paths: paths, Rmi: &rmiWork{Name: name, Given: given, Force: c.Force}}, nil, &gone)
		if c.Force && errors.Is(err, fuseoverlay.ErrNoImage) {
			a.notice(err.Error())
			return nil
		}
		if errors.Is(err, fuseoverlay.ErrNoImage) {
			return a.elsewhere(paths, given, err)
		}
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintln(a.stdout, printableLines(gone.lines("Untagged: ", "Deleted: "))); err != nil {
			return err
		}
		if left, err := a.view(paths).Find(name); err == nil && left.In != "" {
			a.notice(fmt.Sprintf("%s is still there, in the read-only image store %s", given, left.In))
		}
		return nil
	})
}

// elsewhere says why an image that `images` shows cannot be removed here.
func (a *app) elsewhere(paths sandbox.Paths, given string, missing error) error {
	images := a.view(paths)
	name, err := storedName(images, given)
	if err != nil {
		return missing
	}
	found, err := images.Find(name)
	if err != nil || found.In == "" {
		return missing
	}
	return &readOnlyError{given, found.In}
}

// readOnlyError refuses to remove what somebody else keeps.
type readOnlyError struct{ image, store string }

func (e *readOnlyError) Error() string {
	return fmt.Sprintf("cannot remove image %s: it is in the image store %s, which is read-only", e.image, e.store)
}

// Hint says who can.
func (e *readOnlyError) Hint() string {
	return fmt.Sprintf("its owner takes it away with `rootlet store rm %s %s`", e.store, e.image)
}

// removedImage is an image that has lost names, or is gone.
type removedImage struct {
	ID     string   `json:"id"`
	Digest string   `json:"digest,omitempty"`
	Names  []string `json:"names"`          // that it has lost
	Left   []string `json:"left,omitempty"` // that it keeps
	Whole  bool     `json:"whole"`
	Layers []string `json:"layers,omitempty"` // that went with it
}

// lines say so as Docker does, which speaks of a repository's digest where its
// last tag goes.
func (r *removedImage) lines(untagged, deleted string) []string {
	kept := map[string]bool{}
	for _, name := range r.Left {
		repository, _ := splitName(name)
		kept[repository] = true
	}
	var lines []string
	for _, name := range r.Names {
		lines = append(lines, untagged+familiar(name))
		if repository, tag := splitName(name); tag != none && r.Digest != "" && !kept[repository] {
			kept[repository] = true
			lines = append(lines, untagged+repository+"@"+r.Digest)
		}
	}
	if r.Whole {
		lines = append(lines, deleted+"sha256:"+r.ID)
	}
	for _, id := range r.Layers {
		lines = append(lines, deleted+"sha256:"+id)
	}
	return lines
}

// rmiWork removes one image, for the worker.
type rmiWork struct {
	Name  string `json:"name"`
	Given string `json:"given"`
	Force bool   `json:"force,omitempty"`
}

func (w *rmiWork) do(t *task) (any, error) {
	gone, err := t.removeImage(w.Name, w.names, t.dropBlobs)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return nil, noImage(w.Given)
	}
	return gone, err
}

// names are those that the image loses. By one of its names it loses that alone;
// by a digest all those of that repository; by its id all, if they are one image's to
// any reader: several tags are somebody's who may not be asked (moby,
// daemon/images/image_delete.go).
func (w *rmiWork) names(image *fuseoverlay.Image) ([]string, error) {
	if slices.Contains(image.Names, w.Name) {
		return []string{w.Name}, nil
	}
	if strings.Contains(w.Name, "@") {
		repository, _ := splitName(w.Name)
		meant := slices.DeleteFunc(slices.Clone(image.Names), func(name string) bool {
			other, _ := splitName(name)
			return other != repository
		})
		if len(meant) > 0 { // else it was renamed since
			return meant, nil
		}
	}
	if len(image.Names) > 1 && !w.Force {
		return nil, &namedError{w.Given, image.Names}
	}
	return image.Names, nil
}

// removeImage takes names from an image, and removes it where no name is left
// and no container is made of it. alone is fuseoverlay.Removal's.
func (t *task) removeImage(ref string, names func(*fuseoverlay.Image) ([]string, error), alone func(*fuseoverlay.Image) error) (removedImage, error) {
	gone, err := t.store.RemoveImage(ref, fuseoverlay.Removal{
		Names:  names,
		Needed: func(image *fuseoverlay.Image) error { return unused(t.Paths, image) },
		Alone:  alone,
	})
	if err != nil {
		return removedImage{}, err
	}
	result := removedImage{ID: gone.Image.ID, Digest: gone.Image.Digest, Names: gone.Names, Whole: gone.Whole, Layers: gone.Layers}
	for _, name := range gone.Image.Names {
		if !slices.Contains(gone.Names, name) {
			result.Left = append(result.Left, name)
		}
	}
	for _, name := range gone.Names {
		t.imageEvent("untag", result.ID, familiar(name))
	}
	if gone.Whole {
		t.imageEvent("delete", result.ID, "sha256:"+result.ID)
	}
	return result, nil
}

// dropBlobs drops what was kept of an image that is gone, and that no other needs.
// Where an image is damaged nobody knows what it needs: then all stay.
func (t *task) dropBlobs(gone *fuseoverlay.Image) error {
	live, err := liveBlobs(t.store)
	if err != nil {
		return nil // system check tells of it
	}
	kept, err := openBlobs(t.Paths)
	if err != nil {
		return err
	}
	var errs []error
	for _, digest := range pull.BlobsOf(gone.Manifest) {
		if !live[digest] {
			errs = append(errs, kept.Remove(digest))
		}
	}
	return errors.Join(errs...)
}

// imageEvent has the command write down what happened to an image: a worker that is
// confined cannot.
func (t *task) imageEvent(action, id, name string) {
	_ = t.conn.SendJSON(kindHappened, events.Event{
		Type: events.Image, Action: action, ID: "sha256:" + id, Time: time.Now(), Attributes: map[string]string{"name": name},
	})
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
