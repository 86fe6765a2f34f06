package fuseoverlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// probe mounts an overlay in the store's directory and does with it what
// containers do. A kernel or file system that has only half of it is found out
// here, not in a container.
func (s *Store) probe(driver string) (err error) {
	dir, err := os.MkdirTemp(s.config.GraphRoot, "rootlet-probe-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, RemoveTree(dir)) }()
	for _, name := range []string{rootfsName, upperName, workName, "lower", "lower/dir"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"lower/file", "lower/dir/file"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("lower"), 0o644); err != nil {
			return err
		}
	}
	unmount, err := probeMount(driver, dir)
	if err != nil {
		return err
	}
	err = exercise(filepath.Join(dir, rootfsName))
	unmount()
	if err != nil {
		return err
	}
	return checkUpper(filepath.Join(dir, upperName), driver)
}

// probeMount mounts dir/lower and dir/upper at dir/rootfs.
func probeMount(driver, dir string) (unmount func(), err error) {
	lower, err := openPath(filepath.Join(dir, "lower"))
	if err != nil {
		return nil, err
	}
	defer unix.Close(lower)
	root := Root{Path: filepath.Join(dir, rootfsName), Driver: driver}
	if driver == Native {
		err = mountOverlay(overlay{
			lower:  []int{lower},
			upper:  filepath.Join(dir, upperName),
			work:   filepath.Join(dir, workName),
			target: root.Path,
		})
	} else {
		root.helper, err = probeFuse(lower, dir)
	}
	return func() { _ = root.Close() }, err
}

func probeFuse(lower int, dir string) (*fuseHelper, error) {
	program, err := findFuseOverlayfs()
	if err != nil {
		return nil, err
	}
	return startFuse(fuseMount{program: program, lower: []int{lower}, dir: dir, target: filepath.Join(dir, rootfsName)})
}

// exercise does what needs whiteouts, opaque directories and copying up.
func exercise(root string) error {
	file, dir := filepath.Join(root, "file"), filepath.Join(root, "dir")
	if err := os.Chmod(file, 0o600); err != nil {
		return fmt.Errorf("copy up: %w", err)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	fresh := filepath.Join(root, "new")
	if err := os.WriteFile(fresh, []byte("upper"), 0o600); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := os.Rename(fresh, file); err != nil {
		return fmt.Errorf("rename over a whiteout: %w", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "upper" {
		return fmt.Errorf("read back: %q, %w", b, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("directory over a whiteout: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = errors.New("a new directory shows the files of the one below")
	}
	return err
}

// checkUpper makes sure that the native overlay keeps its marks where the user
// namespace lets it.
func checkUpper(upper, driver string) error {
	if driver != Native {
		return nil
	}
	_, err := unix.Lgetxattr(filepath.Join(upper, "dir"), "user.overlay.opaque", make([]byte, 1))
	if err != nil {
		return fmt.Errorf("opaque directories (userxattr): %w", err)
	}
	return nil
}
