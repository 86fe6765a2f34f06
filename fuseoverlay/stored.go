package fuseoverlay

import (
	"slices"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"
)

// StoredImage is an image of an image store, with its documents. In is its
// directory, and TopLayer the id that its topmost layer has once it is unpacked here.
type StoredImage struct {
	Image
	Layers []StoredLayer // the lowest first
}

// StoredLayer is a layer as it will be called here.
type StoredLayer struct {
	ID   string
	Size int64 // unpacked, in bytes; 0 where that is not known
}

func (v View) stored(name string) []StoredImage {
	if v.Stores == nil {
		return nil
	}
	return v.Stores(name)
}

// addLayers lists the layers of an image that were not unpacked here.
func (i *StoredImage) addLayers(to Layers) {
	below := ""
	for _, l := range i.Layers {
		if _, here := to[l.ID]; !here {
			to[l.ID] = Layer{Parent: below, Size: l.Size}
		}
		below = l.ID
	}
}

// withStores is the list with the images of image stores on it. A name is the user's own
// image's, unless that has it from a store: then it is where the first store says.
func (v View) withStores(own []Image) []Image {
	taken, at := map[string]bool{}, map[string]int{}
	for n, i := range own {
		at[i.ID] = n
		for _, name := range i.Names {
			taken[name] = !slices.Contains(i.Shared, name)
		}
	}
	list := own
	for _, i := range v.stored("") {
		names := slices.DeleteFunc(slices.Clone(i.Names), func(name string) bool { return taken[name] })
		for _, name := range names {
			taken[name] = true
			for n := range list {
				list[n].Names = slices.DeleteFunc(slices.Clone(list[n].Names), func(old string) bool { return old == name })
			}
		}
		if n, listed := at[i.ID]; listed {
			list[n].Names = append(list[n].Names, names...)
			continue
		}
		if len(names) == 0 && len(i.Names) > 0 {
			continue // other images bear them
		}
		at[i.ID] = len(list)
		shown := i.Image
		shown.Names, shown.Config, shown.Manifest = names, nil, nil
		list = append(list, shown)
	}
	return list
}

// findStored finds an image of an image store. One that was unpacked here is here, unless
// it is looked for by a name that it has in the store only.
func (v View) findStored(own []storage.Image, ref string) *Image {
	all := v.stored(ref)
	recs := make([]storage.Image, len(all))
	for n, i := range all {
		recs[n] = storage.Image{
			ID: i.ID, Names: i.Names, NamesHistory: i.Names, Digest: digest.Digest(i.Digest),
		}
	}
	found := findRecord(recs, ref)
	if found == nil {
		return nil
	}
	for n := range own {
		if own[n].ID == found.ID && (slices.Contains(own[n].Names, ref) || !slices.Contains(found.Names, ref)) {
			return describe(&own[n])
		}
	}
	for n := range all {
		if &recs[n] == found {
			return &all[n].Image
		}
	}
	return nil
}
