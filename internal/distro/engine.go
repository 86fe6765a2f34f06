package distro

import (
	"os"
	"path/filepath"
)

// Engine is the program that an administrator starts the container around us by, as far
// as that has left a mark in it; empty: there is no mark. root is "/" but in tests.
func Engine(root string) string {
	for _, mark := range []struct{ file, name string }{{"run/.containerenv", "podman"}, {".dockerenv", "docker"}} {
		if _, err := os.Lstat(filepath.Join(root, mark.file)); err == nil {
			return mark.name
		}
	}
	return ""
}
