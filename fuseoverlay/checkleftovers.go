package fuseoverlay

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// linksDir is where containers/storage has a short name for each layer.
const linksDir = "l"

// checkLinks compares the files by which containers/storage finds the layers
// below one with the records. Nothing is mounted by them here, but no layer can be
// put on one without.
func (a *audit) checkLinks() error {
	links := map[string]string{} // by layer
	for _, l := range a.layers {
		if !exists(filepath.Dir(a.store.layerDir(l.ID))) {
			continue
		}
		link, err := a.checkLink(l.ID)
		if err != nil {
			return err
		}
		links[l.ID] = link
	}
	for _, l := range a.layers {
		if links[l.ID] == "" || l.Parent == "" {
			continue
		}
		var lower, ids []string
		for p := a.layerRecord(l.Parent); p != nil && len(ids) <= len(a.layers); p = a.layerRecord(p.Parent) {
			lower, ids = append(lower, linksDir+"/"+links[p.ID]), append(ids, p.ID)
		}
		dir := filepath.Dir(a.store.layerDir(l.ID))
		for name, want := range map[string]string{"lower": strings.Join(lower, ":"), "lower-layers": strings.Join(ids, ":")} {
			if err := a.checkFile("layer "+short(l.ID), filepath.Join(dir, name), want); err != nil {
				return err
			}
		}
	}
	return a.checkLinkNames(links)
}

// checkFile compares a small file of a layer's.
func (a *audit) checkFile(what, path, want string) error {
	text, err := os.ReadFile(path)
	if err == nil && string(text) == want {
		return nil
	}
	a.found(what, "its file "+filepath.Base(path)+" is damaged", "written anew")
	if !a.Repair {
		return nil
	}
	return os.WriteFile(path, []byte(want), 0o644)
}

// checkLink returns a layer's short name.
func (a *audit) checkLink(id string) (string, error) {
	target := filepath.Join("..", id, "diff")
	file := filepath.Join(filepath.Dir(a.store.layerDir(id)), "link")
	text, err := os.ReadFile(file)
	name := string(text)
	if at, linkErr := os.Readlink(a.linkPath(name)); err == nil && isLinkName(name) && linkErr == nil && at == target {
		return name, nil
	}
	a.found("layer "+short(id), "its short name is damaged", "given another")
	name = linkName(id)
	if !a.Repair {
		return name, nil
	}
	if err := os.MkdirAll(filepath.Dir(a.linkPath(name)), 0o755); err != nil {
		return "", err
	}
	if err := os.Remove(a.linkPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(target, a.linkPath(name)); err != nil {
		return "", err
	}
	return name, os.WriteFile(file, []byte(name), 0o644)
}

func (a *audit) linkPath(name string) string { return filepath.Join(a.store.layers, linksDir, name) }

func isLinkName(name string) bool { return name != "" && filepath.Base(name) == name && name[0] != '.' }

// linkName is a short name that no other layer has; containers/storage's are as
// long, and random.
func linkName(id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return id
	}
	return base32.StdEncoding.EncodeToString(raw)[:26]
}

// checkLinkNames takes away short names of no layer.
func (a *audit) checkLinkNames(links map[string]string) error {
	if a.installing {
		return nil
	}
	used := map[string]bool{}
	for _, name := range links {
		used[name] = true
	}
	return a.leftovers(a.linkPath("*"), func(path string) string {
		if used[filepath.Base(path)] {
			return ""
		}
		return "is the short name of no layer"
	})
}

// checkLeftovers takes away what processes that died have left.
func (a *audit) checkLeftovers() error {
	if a.installing {
		return nil
	}
	err := a.leftovers(filepath.Join(a.store.layers, "*"), func(path string) string {
		if id := filepath.Base(path); !isID(id) || a.layerRecord(id) != nil {
			return ""
		} else if a.lostWith[id] != "" {
			return "was of " + a.nameOf(a.lostWith[id])
		}
		return "is a layer that is on no list"
	})
	if err != nil {
		return err
	}
	if err := a.leftovers(filepath.Join(a.store.path("staging"), "*"), func(path string) string {
		lock, err := lockDir(path)
		if err != nil {
			return ""
		}
		lock.Close()
		return "is what is left of a layer's unpacking"
	}); err != nil {
		return err
	}
	for _, dir := range []string{"", filepath.Dir(imagesFile), filepath.Dir(layersFile)} {
		if err := a.leftovers(filepath.Join(a.store.config.GraphRoot, dir, ".tmp-*"), func(string) string {
			return "is what is left of a list's writing"
		}); err != nil {
			return err
		}
	}
	return nil
}

// leftovers removes what matches a pattern and has something wrong with it.
func (a *audit) leftovers(pattern string, wrong func(path string) string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		text := wrong(path)
		if text == "" {
			continue
		}
		a.found(path, text, "removed")
		if a.Repair {
			if err := RemoveTree(path); err != nil {
				return err
			}
		}
	}
	return nil
}
