// Package rootfs turns a mounted image into the root of a container: its own
// /dev, the files that the runtime writes, and what the user asked to be
// mounted. It runs in the monitor, in U1, before the first process exists, so
// nothing in that root can race with it but another container that shares a
// volume; every path inside the root is resolved in the root, by descriptor.
//
// What belongs to the namespaces of the first process (/proc, /sys, mqueue and
// the masks over them) is mounted by that process itself: sandbox/checklist.go.
//
// A plan is made first, as plain data (Plan), and carried out afterwards
// (Apply), so that it can be tested without privileges, and printed.
package rootfs

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// Config is what a plan depends on besides the container's spec.
type Config struct {
	Spec *record.Spec

	// Generated maps paths in the container (/etc/hosts) to files on the host
	// that are bound there, unless the user mounted something at that path.
	Generated map[string]string

	// HostNetwork is --network host.
	HostNetwork bool

	// VolumePath says where a volume's content is on the host.
	VolumePath func(name string) string

	// UID and GID translate ids of the container to ids of U1; false where an
	// id is not mapped.
	UID, GID func(container int) (int, bool)
}

// Op is one thing done to a root. Its String is what a golden file shows.
type Op interface {
	fmt.Stringer
	apply(*assembly) error
}

// ttyGroup is the group that owns terminals: tty in every distribution's
// /etc/group, and Docker's choice.
const ttyGroup = 5

// hostSys shows the host's /sys, read-only to the last mount below it
// (CVE-2023-25809): a sysfs of the container's own shows a network namespace of
// its own, which a container with the host's network does not have.
var hostSys = bind{source: "/sys", target: "/sys", recursive: true, set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}

// hostDevices are the devices that every container has, with their numbers
// (Linux Documentation/admin-guide/devices.txt); they are checked, so that a
// symlink or file in the way on a strange host is never bound in their place.
var hostDevices = []device{
	{"/dev/null", unix.Mkdev(1, 3)},
	{"/dev/zero", unix.Mkdev(1, 5)},
	{"/dev/full", unix.Mkdev(1, 7)},
	{"/dev/random", unix.Mkdev(1, 8)},
	{"/dev/urandom", unix.Mkdev(1, 9)},
	{"/dev/tty", unix.Mkdev(5, 0)},
}

type device struct {
	path   string
	number uint64
}

// Plan lists what Apply will do, in order.
func Plan(c Config) ([]Op, error) {
	uid, _ := c.UID(0)
	gid, _ := c.GID(0)
	var ops []Op
	if uid != 0 || gid != 0 {
		ops = append(ops, owner{uid, gid})
	}
	ops = append(append(ops, devOps(c)...), ownDir{"/proc"}, ownDir{"/sys"})
	if c.HostNetwork {
		ops = append(ops, hostSys)
	}
	user, err := userOps(c)
	if err != nil {
		return nil, err
	}
	ops = append(ops, generatedOps(c)...)
	ops = append(ops, user...)
	ops = append(ops, workDir{path: c.Spec.Process.WorkingDir, uid: uid, gid: gid})
	return append(ops, sealOp(c.Spec)), nil
}

// devOps give the container a /dev of its own; the image's is never used
// (CVE-2025-31133, CVE-2025-52565, CVE-2026-41579).
func devOps(c Config) []Op {
	owner, size := ownedBy(c, 0, 0), "65536k"
	if c.Spec.Sandbox {
		size = "64k,nr_inodes=1k"
	}
	ops := []Op{
		ownDir{"/dev"},
		mountFS{fstype: "tmpfs", target: "/dev", data: "mode=755,size=" + size + owner, flags: unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_STRICTATIME},
	}
	for _, d := range hostDevices {
		ops = append(ops, bindDevice{source: d.path, target: d.path, number: d.number})
	}
	for _, link := range [][2]string{
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
		{"/proc/kcore", "/dev/core"},
		{"pts/ptmx", "/dev/ptmx"},
	} {
		ops = append(ops, symlink{link[0], link[1]})
	}
	pts := "newinstance,ptmxmode=0666,mode=0620"
	if gid, ok := c.GID(ttyGroup); ok {
		pts += fmt.Sprintf(",gid=%d", gid)
	}
	ops = append(ops,
		ownDir{"/dev/pts"},
		mountFS{fstype: "devpts", target: "/dev/pts", data: pts, flags: unix.MS_NOSUID | unix.MS_NOEXEC},
	)
	return append(ops, ipcOps(c, owner)...)
}

// ipcOps are the places of what belongs to the IPC namespace. The first process mounts
// the message queues, and what is another container's.
func ipcOps(c Config, owner string) []Op {
	if c.Spec.IPC == record.NoShm {
		return nil
	}
	const kernel = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	ops := []Op{ownDir{"/dev/mqueue"}, ownDir{"/dev/shm"}}
	switch {
	case record.SharesWith(c.Spec.IPC) != "":
	case c.Spec.IPC == record.Host:
		for _, dir := range []string{"/dev/mqueue", "/dev/shm"} {
			ops = append(ops, bind{source: dir, target: dir, recursive: true, set: kernel, ifThere: true})
		}
	default:
		ops = append(ops, mountFS{fstype: "tmpfs", target: "/dev/shm", data: fmt.Sprintf("mode=1777,size=%d", c.inMemory(c.Spec.ShmSize)) + inodes(c, c.Spec.ShmSize) + owner, flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC})
	}
	return ops
}

// ownedBy gives a tmpfs root an owner, as tmpfs takes ids of the mounter's
// namespace.
func ownedBy(c Config, containerUID, containerGID int) string {
	data := ""
	if uid, ok := c.UID(containerUID); ok {
		data += fmt.Sprintf(",uid=%d", uid)
	}
	if gid, ok := c.GID(containerGID); ok {
		data += fmt.Sprintf(",gid=%d", gid)
	}
	return data
}

// inodes bounds how many files a sandbox can make in memory, which are not counted in
// what it writes: as many as there are pages.
func inodes(c Config, size int64) string {
	if !c.Spec.Sandbox {
		return ""
	}
	return fmt.Sprintf(",nr_inodes=%d", max(size/4096, 16))
}

// generatedOps bind the files that the runtime writes.
func generatedOps(c Config) []Op {
	var ops []Op
	set := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if c.Spec.ReadOnly {
		set |= unix.MOUNT_ATTR_RDONLY // as Docker
	}
	for target, source := range c.Generated {
		if !mounted(c.Spec, target) {
			ops = append(ops, bind{source: source, target: target, file: true, set: set})
		}
	}
	sort.Slice(ops, func(i, k int) bool { return ops[i].String() < ops[k].String() })
	return ops
}

func mounted(s *record.Spec, target string) bool {
	for _, m := range s.Mounts {
		if path.Clean(m.Target) == target {
			return true
		}
	}
	return false
}

// reserved are the runtime's own mounts. A mount of the user's in their place
// would let a container forge what the runtime writes through them
// (CVE-2019-19921, CVE-2023-27561).
var reserved = []string{"/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue"}

// userOps are the user's mounts, outer ones before those inside them.
func userOps(c Config) ([]Op, error) {
	mounts := append([]record.Mount{}, c.Spec.Mounts...)
	sort.SliceStable(mounts, func(i, k int) bool { return depth(mounts[i].Target) < depth(mounts[k].Target) })
	var ops []Op
	for _, m := range mounts {
		target := path.Clean(m.Target)
		if err := checkTarget(target); err != nil {
			return nil, err
		}
		ops = append(ops, userOp(c, m, target))
	}
	for _, d := range c.Spec.Devices {
		ops = append(ops, bindDevice{source: d.Source, target: path.Clean(d.Target)})
	}
	return ops, nil
}

func checkTarget(target string) error {
	for _, own := range reserved {
		if target == own {
			return fmt.Errorf("mount at %s: that is the runtime's own", target)
		}
	}
	for _, own := range []string{"/proc/", "/sys/", "/dev/mqueue/"} {
		if strings.HasPrefix(target, own) {
			return fmt.Errorf("mount at %s: nothing is mounted inside %s", target, strings.TrimSuffix(own, "/"))
		}
	}
	return nil
}

func depth(target string) int { return strings.Count(path.Clean(target), "/") }

func userOp(c Config, m record.Mount, target string) Op {
	switch m.Type {
	case record.Tmpfs:
		return tmpfsOp(c, m, target)
	case record.Volume:
		set := attributes(m) | unix.MOUNT_ATTR_NODEV
		if c.Spec.NoNewPrivileges {
			set |= unix.MOUNT_ATTR_NOSUID // as sealOp
		}
		return bind{source: c.VolumePath(m.Source), target: target, set: set, recursive: m.Recursive, propagation: m.Propagation}
	default:
		// nosuid and nodev always: a set-id program or a device that a container
		// leaves in a host directory is nobody's to use.
		return bind{source: m.Source, target: target, set: attributes(m) | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, recursive: m.Recursive, propagation: m.Propagation, makeSource: m.MakeSource}
	}
}

func tmpfsOp(c Config, m record.Mount, target string) Op {
	mode := m.Mode
	if mode == 0 {
		mode = 0o1777
	}
	data := fmt.Sprintf("mode=%o", mode)
	if size := c.inMemory(m.Size); size > 0 {
		data += fmt.Sprintf(",size=%d", size) + inodes(c, size)
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if m.NoExec {
		flags |= unix.MS_NOEXEC
	}
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	return mountFS{fstype: "tmpfs", target: target, data: data + ownedBy(c, 0, 0), flags: flags, makeTarget: true}
}

// inMemory is the size of a tmpfs: no more than the container's memory, of which its files
// are part. 0 is the kernel's default, half of what the host has.
func (c Config) inMemory(size int64) int64 {
	if most := c.Spec.Limits.Memory; most > 0 && (size == 0 || size > most) {
		return most
	}
	return size
}

// attributes are the mount_setattr(2) flags that a mount of the user's asks for.
func attributes(m record.Mount) uint64 {
	var set uint64
	for flag, on := range map[uint64]bool{
		unix.MOUNT_ATTR_RDONLY: m.ReadOnly,
		unix.MOUNT_ATTR_NOSUID: m.NoSuid,
		unix.MOUNT_ATTR_NODEV:  m.NoDev,
		unix.MOUNT_ATTR_NOEXEC: m.NoExec,
	} {
		if on {
			set |= flag
		}
	}
	return set
}

// sealOp is the last word on the root itself: no devices ever, no set-id
// programs where no_new_privs makes them void anyway, read-only where asked.
func sealOp(s *record.Spec) Op {
	set := uint64(unix.MOUNT_ATTR_NODEV)
	if s.NoNewPrivileges {
		set |= unix.MOUNT_ATTR_NOSUID
	}
	if s.ReadOnly {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	return seal{set: set}
}
