package linux

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// ReadOnlyBut makes all mounts of the caller's mount namespace read-only, but for what
// is below these directories. What was opened before goes by what was then. The
// namespace's mounts must not be shared with others (mount_setattr(2), Linux 5.12).
func ReadOnlyBut(dirs ...string) error {
	writable := map[string]int{}
	defer func() {
		for _, fd := range writable {
			unix.Close(fd)
		}
	}()
	for _, dir := range dirs {
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("keep %s writable: %w", dir, err)
		}
		writable[dir] = fd
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &readOnly); err != nil {
		return fmt.Errorf("make mounts read-only: %w", err)
	}
	for _, dir := range dirs {
		fd, ok := writable[dir]
		if !ok {
			continue
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS); err != nil {
			return fmt.Errorf("keep %s writable: %w", dir, err)
		}
	}
	return nil
}
