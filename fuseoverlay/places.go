package fuseoverlay

import (
	"cmp"
	"path/filepath"
)

// Places says which driver serves the root of the container in dir, and where
// its files are, under Docker's names; the paths lead somewhere only in U1. A
// container that was never mounted has no driver.
func Places(dir string) (driver string, places map[string]string, err error) {
	driver, err = recordedDriver(dir)
	if err != nil || driver == "" {
		return "", nil, err
	}
	places = map[string]string{"MergedDir": filepath.Join(dir, rootfsName)}
	if driver == Copy {
		places["UpperDir"] = filepath.Join(ownDir(dir), treeName)
		return driver, places, nil
	}
	places["UpperDir"], places["WorkDir"] = filepath.Join(ownDir(dir), upperName), filepath.Join(ownDir(dir), workName)
	return driver, places, nil
}

// LayerDirs are the directories of an image's layers, the topmost first; none of one
// that is in an image store only.
func (v View) LayerDirs(i *Image) ([]string, error) {
	if i.In != "" {
		return nil, nil // it was not unpacked here
	}
	all, err := v.Layers()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, id := range all.Below(i.TopLayer) {
		dirs = append(dirs, filepath.Join(cmp.Or(v.LayerRoot, v.GraphRoot), driverName, id, "diff"))
	}
	return dirs, nil
}
