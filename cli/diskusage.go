package cli

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// diskUsage is what images, containers and volumes take on disk, for system df.
type diskUsage struct {
	images     []imageUsage
	containers []record.Entry
	written    map[string]int64 // by the container's id
	volumes    []volumeInfo     // with their usage

	layers           int64 // all that images have, each once, and the blobs kept of them
	layersContainers int64 // of these, what containers need
}

// imageUsage is what an image takes: shared is of layers that others have, too.
type imageUsage struct {
	fuseoverlay.Image
	shared     int64
	containers int
}

// diskUsage looks at everything. One worker measures what has ids of its own; what
// layers take is written down. What cannot be read is told, and left out.
func (a *app) diskUsage(paths sandbox.Paths) (*diskUsage, bool, error) {
	u := &diskUsage{}
	var damaged []string
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		if e.Err != nil {
			damaged = append(damaged, fmt.Sprintf("container %s: %v", shortID(e.ID, false), e.Err))
			continue
		}
		u.containers = append(u.containers, e)
	}
	if err := u.addImages(paths); err != nil {
		return nil, false, err
	}
	found, lost, err := findVolumes(paths, filters{})
	if err != nil {
		return nil, false, err
	}
	u.volumes = found
	if err := u.measure(a, paths); err != nil {
		return nil, false, err
	}
	for _, text := range append(damaged, lost...) {
		a.failed(fmt.Errorf("%s", text))
	}
	return u, len(damaged)+len(lost) > 0, nil
}

func (u *diskUsage) addImages(paths sandbox.Paths) error {
	images, err := view(paths).Images()
	if err != nil {
		return err
	}
	layers, err := view(paths).Layers()
	if err != nil {
		return err
	}
	u.images = imageUsages(images, layers, u.containers)
	all, needed := map[string]bool{}, map[string]bool{}
	for _, i := range u.images {
		for _, id := range layers.Below(i.TopLayer) {
			all[id] = true
			needed[id] = needed[id] || i.containers > 0
		}
	}
	maps.DeleteFunc(needed, func(_ string, is bool) bool { return !is })
	u.layers, u.layersContainers = layers.Size(all), layers.Size(needed)
	if err := u.addBlobs(paths); err != nil {
		return err
	}
	sort.SliceStable(u.images, func(i, k int) bool { return u.images[i].Created.After(u.images[k].Created) })
	return nil
}

// addBlobs counts what is kept of images beside their layers.
func (u *diskUsage) addBlobs(paths sandbox.Paths) error {
	kept, err := lookAtBlobs(paths)
	if kept == nil || err != nil {
		return err
	}
	list, err := kept.List()
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, i := range u.images {
		if i.containers == 0 {
			continue
		}
		if whole, err := view(paths).Image(i.ID); err == nil {
			for _, digest := range pull.BlobsOf(whole.Manifest) {
				needed[digest] = true
			}
		}
	}
	for _, b := range list {
		u.layers += b.Stored
		if needed[b.Digest] {
			u.layersContainers += b.Stored
		}
	}
	return nil
}

// imageUsages counts each image's containers, and what it shares with others.
func imageUsages(images []fuseoverlay.Image, layers fuseoverlay.Layers, containers []record.Entry) []imageUsage {
	holders := map[string]int{}
	for _, i := range images {
		for _, id := range layers.Below(i.TopLayer) {
			holders[id]++
		}
	}
	var all []imageUsage
	for _, i := range images {
		now := imageUsage{Image: i}
		for _, e := range containers {
			if e.Spec.ImageID == i.ID {
				now.containers++
			}
		}
		shared := map[string]bool{}
		for _, id := range layers.Below(i.TopLayer) {
			if holders[id] > 1 {
				shared[id] = true
			}
		}
		now.shared = layers.Size(shared)
		all = append(all, now)
	}
	return all
}

// measure asks a worker for sizes, where there is something to measure.
func (u *diskUsage) measure(a *app, paths sandbox.Paths) error {
	users := volume.UsedBy(u.containers)
	w := &usageWork{}
	for _, e := range u.containers {
		w.Containers.IDs = append(w.Containers.IDs, e.ID)
	}
	for i := range u.volumes {
		v := &u.volumes[i]
		v.UsageData = &volumeUsage{RefCount: len(slices.Compact(users[v.Name]))} // a container may have it twice
		w.Volumes = append(w.Volumes, v.Name)
	}
	if len(w.Containers.IDs)+len(w.Volumes) == 0 {
		return nil
	}
	plan, err := a.plan(paths)
	if err != nil {
		return err
	}
	var sizes measured
	if err := a.have(plan, work{Paths: paths, Usage: w}, nil, &sizes); err != nil {
		return err
	}
	u.written = sizes.Containers
	for i := range u.volumes {
		u.volumes[i].UsageData.Size = sizes.Volumes[u.volumes[i].Name]
	}
	return nil
}

// usageWork measures containers and volumes, for the worker.
type usageWork struct {
	Containers sizesWork `json:"containers"`
	Volumes    []string  `json:"volumes"`
}

// measured is its result, by ids and names.
type measured struct {
	Containers map[string]int64 `json:"containers"`
	Volumes    map[string]int64 `json:"volumes"`
}

func (w *usageWork) do(paths sandbox.Paths) (any, error) {
	written, err := w.Containers.do(paths)
	if err != nil {
		return nil, err
	}
	sizes := measured{Containers: written.(map[string]int64), Volumes: map[string]int64{}}
	for _, name := range w.Volumes {
		if sizes.Volumes[name], err = volume.In(paths.Data).Size(name); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}
