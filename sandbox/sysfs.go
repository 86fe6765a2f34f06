package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
)

// You come here from launch.go. A sysfs shows the network namespace in which it is mounted,
// by who has a right over that: in a container with a network of its own the first process
// would have to mount it in U2, where it could also take it, and the masks over it, off
// again. So the monitor mounts it, in U1, and it reaches the first process as a mount event
// from a more privileged mount namespace, which makes it locked there
// (mount_namespaces(7), "Restrictions on mount namespaces").

// shareRoot has mounts on the root appear where it is copied to.
func (m *monitor) shareRoot() error {
	if err := unix.Mount("", m.root.Path, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share the root: %w", err)
	}
	return nil
}

// offerSys mounts /sys and its masks, while the first process waits.
func (m *monitor) offerSys(f first) error {
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.hostPID))
	if err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	defer network.Close()
	groups, err := os.Open(fmt.Sprintf("/proc/%d/ns/cgroup", m.hostPID))
	if err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	defer groups.Close()
	defer m.withdrawSys()
	return linux.InNetwork(int(network.Fd()), func() error {
		// What is below the top of a tree is locked, and not what is mounted on it later:
		// it is put together elsewhere. Mounts on /dev do not reach the first process.
		place := filepath.Join(m.root.Path, "dev/pts")
		if err := m.mountSys(place, f.sysFlags()); err != nil {
			return err
		}
		if f.own(unix.CLONE_NEWCGROUP) {
			if err := mountCgroup2(filepath.Join(place, "fs/cgroup"), groups); err != nil {
				return err
			}
		}
		for _, mask := range f.sysMasks {
			if err := m.maskSys(mask, filepath.Join(place, strings.TrimPrefix(mask.path, "sys/"))); err != nil {
				return fmt.Errorf("mask /%s: %w", mask.path, err)
			}
		}
		if err := unix.Mount(place, filepath.Join(m.root.Path, "sys"), "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move /sys: %w", err)
		}
		return nil
	})
}

// mountSys mounts one, or shows that of outside where the kernel mounts none: see procfs.go.
func (m *monitor) mountSys(at string, flags uintptr) error {
	err := unix.Mount("sysfs", at, "sysfs", flags, "")
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES):
		return fmt.Errorf("mount /sys: %w", err)
	case !m.Spec.Accepts(record.BoundSys):
		return refusal(&m.Spec, record.BoundSys, fmt.Errorf("mount /sys: %w", err))
	}
	m.goWithout(record.BoundSys)
	if err := bindSys(at); err != nil {
		return fmt.Errorf("bind /sys: %w", err)
	}
	return nil
}

// mountCgroup2 shows the control groups of version 2 from a cgroup namespace on, which the
// calling thread moves to. A host without shows none.
func mountCgroup2(at string, namespace *os.File) error {
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("enter the cgroup namespace: %w", err)
	}
	err := unix.Mount("cgroup", at, "cgroup2", kernelFS|unix.MS_RDONLY, "")
	if errno, ok := err.(unix.Errno); ok && slices.Contains(noCgroup2, errno) {
		return nil
	}
	return err
}

// bindSys shows the /sys outside, read-only to the last mount below it.
func bindSys(at string) error {
	if err := unix.Mount("/sys", at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("", at, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	top, err := rootfs.OpenRoot(at)
	if err != nil {
		return err
	}
	defer top.Close()
	return linux.SetMountAttributes(top, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, true)
}

// maskSys is what cover is for the first process.
func (m *monitor) maskSys(mask mask, target string) error {
	if mask.dir {
		return unix.Mount("tmpfs", target, "tmpfs", emptyFS, emptyData)
	}
	if err := unix.Mount(os.DevNull, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|nullFlags, "")
}

// withdrawSys has the monitor's own namespace as it was, before there is a helper: one that
// has a copy of it and unmounts everything, as slirp4netns does, would also unmount what the
// first process has, and a sysfs keeps a network namespace.
func (m *monitor) withdrawSys() {
	sys := filepath.Join(m.root.Path, "sys")
	_ = unix.Mount("", m.root.Path, "", unix.MS_PRIVATE, "")
	_ = unix.Mount("", sys, "", unix.MS_PRIVATE|unix.MS_REC, "")
	_ = unix.Unmount(sys, unix.MNT_DETACH)
}
