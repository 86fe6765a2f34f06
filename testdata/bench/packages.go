package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxPackage leaves out what would fill a layer alone, in bytes.
const maxPackage = 20e6

// packageLayers spreads the files of the installed Debian packages, by name, over n
// layers of so many bytes each. A machine with few packages has them more than once, under other
// prefixes: the sizes are the same everywhere, which makes runs comparable.
func packageLayers(n int, bytes int64) (layers []fill, err error) {
	packages, err := debianPackages()
	if err != nil {
		return nil, err
	}
	next := 0
	for range n {
		var layer files
		layer.prefix = fmt.Sprintf("/part%d", next/len(packages))
		for size := int64(0); size < bytes; next++ {
			names := filesOf(packages[next%len(packages)])
			layer.names = append(layer.names, names...)
			size += sizeOf(names)
		}
		slices.Sort(layer.names)
		layer.names = slices.Compact(layer.names)
		layers = append(layers, layer.fill)
	}
	return layers, nil
}

// debianPackages are the installed ones that Debian itself maintains.
func debianPackages() (names []string, err error) {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Package}\t${Installed-Size}\t${Maintainer}\t${db:Status-Abbrev}\n").Output()
	if err != nil {
		return nil, fmt.Errorf("dpkg-query: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 || !strings.Contains(f[2], "debian.org") || !strings.HasPrefix(f[3], "ii") {
			continue
		}
		kib, err := strconv.Atoi(f[1])
		if err == nil && kib > 0 && kib<<10 < maxPackage {
			names = append(names, f[0])
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no Debian packages are installed")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// filesOf is empty for the few packages that are there for several architectures.
func filesOf(name string) (names []string) {
	out, err := exec.Command("dpkg-query", "-L", name).Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") && line != "/." {
			names = append(names, withParents(line)...)
		}
	}
	return names
}

// withParents is a file's true place, for dpkg still speaks of /bin where that is a
// link into /usr, and the directories above it.
func withParents(name string) (names []string) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil || dir == "/" {
		return nil
	}
	for name = filepath.Join(dir, filepath.Base(name)); name != "/"; name = filepath.Dir(name) {
		names = append(names, name)
	}
	return names
}

func sizeOf(names []string) (bytes int64) {
	for _, name := range names {
		if fi, err := os.Lstat(name); err == nil && fi.Mode().IsRegular() {
			bytes += fi.Size()
		}
	}
	return bytes
}
