package rootfs

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/sandbox/record"
)

// PlanLasting lists what of a container's mounts there is while it does not run:
// the volumes that VolumePath has a path for, and directories of the host's, which
// nobody makes now.
func PlanLasting(c Config) ([]Op, error) {
	spec := *c.Spec
	spec.Mounts, spec.Devices = nil, nil
	for _, m := range c.Spec.Mounts {
		if m.Type == record.Tmpfs || m.Type == record.Volume && c.VolumePath(m.Source) == "" {
			continue
		}
		m.MakeSource = false
		spec.Mounts = append(spec.Mounts, m)
	}
	c.Spec = &spec
	ops, err := userOps(c)
	if err != nil {
		return nil, err
	}
	return append(ops, sealOp(&spec)), nil
}

// runtimes are the places in a root where the runtime mounts something over
// whatever is there, in every container: what is found below is its doing.
var runtimes = []string{"/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}

// IsRuntimes says that a path is one of the runtime's own, or below one: no
// container can change it in its root.
func IsRuntimes(path string) bool {
	for _, own := range runtimes {
		if path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}

// unnoticed has make make a place of the runtime's own, and gives the directories
// above it their times back: a container that has changed nothing looks so. All
// of them, because fuse-overlayfs lets a directory's time show that something in
// it was copied up.
func (a *assembly) unnoticed(place string, make func() error) error {
	if place == "/" {
		return make()
	}
	above := path.Dir(place)
	return a.unnoticed(above, func() error {
		dir, err := a.find(above)
		if err != nil {
			return make() // which makes the directory, too
		}
		defer dir.Close()
		var before unix.Stat_t
		if err := unix.Fstat(int(dir.Fd()), &before); err != nil {
			return err
		}
		if err := make(); err != nil {
			return err
		}
		// Whether it has changed cannot be asked: through FUSE the kernel answers
		// with what it remembers.
		times := []unix.Timespec{before.Atim, before.Mtim}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, linux.FDPath(dir), times, 0); err != nil {
			return fmt.Errorf("set the times of %s: %w", above, err)
		}
		return nil
	})
}
