package fuseoverlay

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"

	"rootlet/fuseoverlay/tree"

	"golang.org/x/sys/unix"
)

// wantedLayer is a layer that an image needs, as the image says.
type wantedLayer struct {
	id, parent string
	diffID     digest.Digest
	depth      int
	blobs      []string // digests of what it may have come from
	images     []string // that need it, by id
}

func (a *audit) want(l wantedLayer, image string) {
	w := a.wanted[l.id]
	if w == nil {
		w = &l
		a.wanted[l.id] = w
	}
	for _, blob := range l.blobs {
		if !slices.Contains(w.blobs, blob) {
			w.blobs = append(w.blobs, blob)
		}
	}
	w.images = append(w.images, image)
}

// inOrder are the layers that are needed, each after its parent.
func (a *audit) inOrder() []*wantedLayer {
	var all []*wantedLayer
	for _, l := range a.wanted {
		all = append(all, l)
	}
	slices.SortFunc(all, func(x, y *wantedLayer) int { return cmp.Or(x.depth-y.depth, strings.Compare(x.id, y.id)) })
	return all
}

// readLayers reads the list of layers.
func (a *audit) readLayers() error {
	list, spare, wrong := readDamaged[storage.Layer](a.store, layersFile, layersCopy)
	if wrong != nil {
		a.found("the list of layers", wrong.Error(), "restored from its copy")
		a.layersChanged = true
		list = slices.DeleteFunc(spare, func(l storage.Layer) bool { return !isID(l.ID) || !exists(a.store.layerDir(l.ID)) })
	}
	for _, rec := range list {
		switch {
		case !isID(rec.ID):
			a.found("the list of layers", fmt.Sprintf("has a layer %q", rec.ID), "dropped")
			a.layersChanged = true
		case a.layerRecord(rec.ID) != nil:
			a.found("layer "+short(rec.ID), "is on the list twice", "dropped once")
			a.layersChanged = true
		default:
			a.layers = append(a.layers, rec)
		}
	}
	return nil
}

func (a *audit) layerRecord(id string) *storage.Layer {
	for i := range a.layers {
		if a.layers[i].ID == id {
			return &a.layers[i]
		}
	}
	return nil
}

// checkLayers compares the records of the layers that are needed with what images
// say of them, and looks whether they are there.
func (a *audit) checkLayers() error {
	for _, l := range a.inOrder() {
		rec := a.layerRecord(l.id)
		if rec == nil {
			rec = a.recordLayer(l)
		}
		if rec.Parent != l.parent || rec.UncompressedDigest != l.diffID {
			a.found("layer "+short(l.id), "its record is damaged", "restored")
			rec.Parent, rec.UncompressedDigest = l.parent, l.diffID
			a.layersChanged = true
		}
		info, err := os.Lstat(a.store.layerDir(l.id))
		switch {
		case err != nil || !info.IsDir() || !a.store.config.has(a.store.layers, l.id):
			a.broken[l.id] = "its files are gone"
		case rec.Flags["incomplete"] != nil:
			a.broken[l.id] = "it is not whole"
		}
	}
	return nil
}

// recordLayer puts a layer on the list that has lost its record.
func (a *audit) recordLayer(l *wantedLayer) *storage.Layer {
	dir := a.store.layerDir(l.id)
	if exists(dir) {
		a.found("layer "+short(l.id), "has no record", "restored")
	}
	a.layers = append(a.layers, storage.Layer{
		ID: l.id, Parent: l.parent, Created: time.Now().UTC(), UncompressedDigest: l.diffID,
		CompressedDigest: digest.Digest(l.blobs[0]), UncompressedSize: treeSize(filepath.Dir(dir)),
	})
	a.layersChanged = true
	return &a.layers[len(a.layers)-1]
}

// treeSize is about what the layer's archive had, -1 where that cannot be told.
func treeSize(dir string) int64 {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(fd)
	size, err := tree.Size(fd, "diff", nil)
	if err != nil {
		return -1
	}
	return size
}

// dropLost drops the images that cannot be had, those of which a container is
// made only if that is wanted. Who only looks is told which layers are broken:
// they may be restored.
func (a *audit) dropLost() error {
	for _, l := range a.inOrder() {
		why := a.broken[l.id]
		switch {
		case why == "":
			continue
		case !a.Repair:
			a.found("layer "+short(l.id)+" of "+a.nameOf(l.images[0]), why, "")
			continue
		}
		for _, image := range l.images {
			if a.lost[image] == "" {
				a.lost[image] = fmt.Sprintf("its layer %s cannot be had: %s", short(l.id), why)
			}
		}
	}
	for _, rec := range slices.Clone(a.images) {
		why := a.lost[rec.ID]
		if why == "" {
			continue
		}
		what := a.nameOf(rec.ID)
		if name := a.runningOn([]string{rec.ID}); name != "" {
			a.found(what, why+"; container "+name+" runs on it, stop it first", "")
			continue
		}
		user := ""
		if a.Used != nil {
			user = a.Used(rec.ID)
		}
		if user != "" && !a.Drop {
			a.found(what, why+"; container "+user+" is made of it", "")
			continue
		}
		a.found(what, why, "dropped")
		if !a.Repair {
			continue
		}
		if err := a.drop(rec.ID); err != nil {
			return err
		}
	}
	return nil
}

// nameOf is an image as a finding shows it.
func (a *audit) nameOf(id string) string {
	what := "image " + short(id)
	if rec := a.imageRecord(id); rec != nil && len(rec.Names) > 0 {
		what += " (" + strings.Join(rec.Names, ", ") + ")"
	}
	return what
}

func (a *audit) drop(id string) error {
	for layer, l := range a.wanted {
		l.images = slices.DeleteFunc(l.images, func(image string) bool { return image == id })
		if len(l.images) == 0 {
			a.lostWith[layer] = id
			delete(a.wanted, layer)
		}
	}
	a.images = slices.DeleteFunc(a.images, func(i storage.Image) bool { return i.ID == id })
	a.imagesChanged = true
	if err := saveList(filepath.Join(a.store.config.GraphRoot, imagesFile), a.images); err != nil {
		return err
	}
	return os.RemoveAll(a.store.imageDir(id))
}

// checkOrphans takes layers off the list that no image has. Those of an image that
// stays although its files are lost are not known: then all stay.
func (a *audit) checkOrphans() error {
	for _, rec := range a.images {
		if a.lost[rec.ID] != "" && a.wantedBy(rec.ID) == nil {
			return nil
		}
	}
	a.layers = slices.DeleteFunc(a.layers, func(l storage.Layer) bool {
		if a.wanted[l.ID] != nil || a.installing {
			return false
		}
		if a.broken[l.ID] == "" && a.lostWith[l.ID] == "" { // else its images have told of it
			a.found("layer "+short(l.ID), "belongs to no image", "removed")
		}
		a.layersChanged = true
		return true
	})
	return nil
}

// wantedBy are the layers that an image needs, nil where it could not say.
func (a *audit) wantedBy(image string) []*wantedLayer {
	var all []*wantedLayer
	for _, l := range a.wanted {
		if slices.Contains(l.images, image) {
			all = append(all, l)
		}
	}
	return all
}
