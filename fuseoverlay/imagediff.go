package fuseoverlay

import (
	"fmt"

	"rootlet/fuseoverlay/changes"
)

// ImageChanges lists what differs between an image and another one, or with nil
// what its topmost layer changes in those below. Sorted by path.
func (s *Store) ImageChanges(img, base *Image) ([]changes.Change, error) {
	own, err := s.openChain(img.TopLayer)
	if err != nil {
		return nil, err
	}
	defer closeAll(own)
	if base == nil {
		return s.layerChanges(img.TopLayer, own)
	}
	other, err := s.openChain(base.TopLayer)
	if err != nil {
		return nil, err
	}
	defer closeAll(other)
	return changes.Compare(asLayers(own), asLayers(other))
}

// layerChanges lists what a layer changes, the first of those that are open.
func (s *Store) layerChanges(id string, open []int) ([]changes.Change, error) {
	if id == "" {
		return nil, nil
	}
	layer, err := s.store.Layer(id)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", id, err)
	}
	below, err := s.openChain(layer.Parent)
	if err != nil {
		return nil, err
	}
	defer closeAll(below)
	own := changes.Layer{FD: open[0]}
	return changes.Source{
		Own: own, Whole: own.Opaque(), Image: asLayers(below), Skip: func(string) bool { return false },
	}.List()
}

func asLayers(fds []int) changes.Layers {
	var layers changes.Layers
	for _, fd := range fds {
		layers = append(layers, changes.Layer{FD: fd})
	}
	return layers
}
