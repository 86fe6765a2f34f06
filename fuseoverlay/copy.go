package fuseoverlay

import (
	"fmt"
	"os"
	"slices"

	"rootlet/fuseoverlay/tree"

	"golang.org/x/sys/unix"
)

// mountCopy copies the layers into one tree, the first time, and binds that.
func (m *mounting) mountCopy() error {
	if _, err := os.Lstat(m.ownPath(treeName)); err != nil {
		if err := m.copyTree(); err != nil {
			return fmt.Errorf("copy the image: %w", err)
		}
	}
	target := m.path(rootfsName)
	if err := unix.Mount(m.ownPath(treeName), target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %q at %q: %w", m.ownPath(treeName), target, err)
	}
	return setFlags(target, unix.MOUNT_ATTR_NODEV)
}

// copyTree makes the tree under another name first: half of one is never used.
func (m *mounting) copyTree() error {
	partial := m.ownPath(treeName + ".partial")
	if err := RemoveTree(partial); err != nil {
		return err
	}
	if err := os.Mkdir(partial, 0o700); err != nil {
		return err
	}
	root, err := unix.Open(partial, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	layers := slices.Clone(m.layers)
	slices.Reverse(layers)
	c := tree.Copier{
		UID:      shifter(m.options.UIDs),
		GID:      shifter(m.options.GIDs),
		Progress: m.options.Progress,
		Total:    m.total,
	}
	if err := c.Merge(layers, root); err != nil {
		return err
	}
	if !m.options.Volatile {
		if err := unix.Syncfs(root); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	if err := os.Rename(partial, m.ownPath(treeName)); err != nil {
		return err
	}
	return m.markCopied()
}

// markCopied notes the time by which everything was copied, by the clock that
// tells the times of files: what has changed since is the container's doing.
func (m *mounting) markCopied() error {
	if err := os.WriteFile(m.ownPath(copiedFile), nil, 0o600); err != nil {
		return fmt.Errorf("note the time of the copy: %w", err)
	}
	return nil
}

// shifter is the function that applies shifts to an id; nil when there are none.
func shifter(shifts []Shift) func(uint32) (uint32, error) {
	if len(shifts) == 0 {
		return nil
	}
	return func(id uint32) (uint32, error) {
		for _, s := range shifts {
			if id >= s.From && id-s.From < s.Size {
				return s.To + (id - s.From), nil
			}
		}
		return 0, fmt.Errorf("owner %d has no id in this container", id)
	}
}
