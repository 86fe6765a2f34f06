package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rootlet/pull/serve"
)

// Repositories lists those that have a manifest.
func (f *Folder) Repositories() ([]string, error) {
	var found []string
	_, err := f.anyRepository(func(name string) bool {
		for _, algorithm := range []string{"sha256", "sha512"} {
			if names, _ := f.names(filepath.Join("repositories", name, "_manifests", algorithm)); len(names) > 0 {
				found = append(found, name)
				break
			}
		}
		return false
	})
	slices.Sort(found)
	return found, err
}

// isRepository reports whether something was ever put into a repository.
func (f *Folder) isRepository(dir string) bool {
	for _, part := range []string{"_manifests", "_blobs", "_tags"} {
		if _, err := os.Lstat(filepath.Join(dir, part)); err == nil {
			return true
		}
	}
	return false
}

// anyRepository calls suits with the names of repositories until it says yes.
func (f *Folder) anyRepository(suits func(name string) bool) (bool, error) {
	top, yes := f.path("repositories"), false
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // swept as we walk
		}
		if err != nil {
			return err
		}
		if !e.IsDir() {
			return nil
		}
		if strings.HasPrefix(e.Name(), "_") {
			return fs.SkipDir
		}
		name, err := filepath.Rel(top, path)
		if err != nil || !serve.ValidName(name) || !f.isRepository(path) {
			return err
		}
		if suits(name) {
			yes = true
			return fs.SkipAll
		}
		return nil
	})
	return yes, err
}
