package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rootlet/sandbox/files"
)

// hostTarget is where on the host something is copied to, by the rules of
// `docker cp`: into a directory that exists, under its own name; else under the
// name of the destination.
type hostTarget struct {
	given  string
	exists bool
	isDir  bool
	dir    string // the directory that is extracted to
	base   string // of the copy; empty is its own
}

// as is what a source is called in the archive that comes.
func (t *hostTarget) as(source string) string {
	if t.base != "" {
		return t.base
	}
	return files.Base(source)
}

// accepts refuses a source that the destination cannot become.
func (t *hostTarget) accepts(isDir bool) error {
	switch {
	case t.isDir:
		return nil
	case t.exists && isDir:
		return fmt.Errorf("cannot copy a directory to a file: %s", t.given)
	case !isDir && files.AssertsDir(t.given) && t.exists:
		return fmt.Errorf("%s: not a directory", t.given)
	case !isDir && files.AssertsDir(t.given):
		return fmt.Errorf("no such directory: %s", t.given)
	}
	return nil
}

// maxLinks is the kernel's own limit on symlinks in a path (path_resolution(7)).
const maxLinks = 40

// findHostTarget looks at a destination. A symlink stands for what it leads to,
// even where that is not there yet.
func findHostTarget(given string) (*hostTarget, error) {
	if given == "" {
		return nil, errors.New("destination can not be empty")
	}
	path := filepath.Clean(given)
	for range maxLinks {
		link, err := os.Readlink(path)
		if err != nil {
			return hostTargetAt(given, path)
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return nil, fmt.Errorf("too many symlinks in %s", given)
}

func hostTargetAt(given, path string) (*hostTarget, error) {
	t := &hostTarget{given: given, dir: filepath.Dir(path), base: filepath.Base(path)}
	parent, err := os.Stat(t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("invalid output path: directory %q does not exist", t.dir)
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !parent.IsDir() {
			return nil, fmt.Errorf("%s: not a directory", strings.TrimSuffix(t.dir, "/"))
		}
		return t, nil
	case err != nil:
		return nil, err
	case info.IsDir():
		t.dir, t.base = path, ""
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("invalid output path: %q must be a directory or a regular file", given)
	}
	t.exists, t.isDir = true, info.IsDir()
	return t, nil
}
