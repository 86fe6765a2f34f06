// Package linux wraps the system calls that rootlet needs and the Go libraries
// leave bare: each call once, with an error that names what it was done to. It
// decides nothing and knows nothing of containers.
package linux

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// MountError is a failed mount(2), with all that mattered to it.
type MountError struct {
	Source, Target, FSType string
	Flags                  uintptr
	Data                   string
	Err                    error
}

func (e *MountError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mount %s on %s", orNone(e.Source), e.Target)
	if e.FSType != "" {
		fmt.Fprintf(&b, ", type %s", e.FSType)
	}
	fmt.Fprintf(&b, ", flags %s", MountFlags(e.Flags))
	if e.Data != "" {
		fmt.Fprintf(&b, ", data %s", e.Data)
	}
	return fmt.Sprintf("%s: %v", b.String(), e.Err)
}

func (e *MountError) Unwrap() error { return e.Err }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Mount is mount(2). At is the target path, which may be a descriptor's; name
// is what an error calls it.
func Mount(source, at, name, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, at, fstype, flags, data); err != nil {
		if target, readErr := os.Readlink(source); readErr == nil && strings.HasPrefix(source, "/proc/self/fd/") {
			source = target
		}
		return &MountError{Source: source, Target: name, FSType: fstype, Flags: flags, Data: data, Err: err}
	}
	return nil
}

// FDPath is a path that leads to f itself, for calls that take paths only. It
// works wherever /proc is mounted.
func FDPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

type flagName[T uintptr | uint64] struct {
	flag T
	name string
}

var mountFlagNames = []flagName[uintptr]{
	{unix.MS_RDONLY, "ro"},
	{unix.MS_NOSUID, "nosuid"},
	{unix.MS_NODEV, "nodev"},
	{unix.MS_NOEXEC, "noexec"},
	{unix.MS_REMOUNT, "remount"},
	{unix.MS_BIND, "bind"},
	{unix.MS_REC, "rec"},
	{unix.MS_PRIVATE, "private"},
	{unix.MS_SLAVE, "slave"},
	{unix.MS_SHARED, "shared"},
	{unix.MS_STRICTATIME, "strictatime"},
	{unix.MS_RELATIME, "relatime"},
}

// MountFlags names mount(2)'s flags.
func MountFlags(flags uintptr) string { return names(flags, mountFlagNames) }

var mountAttributeNames = []flagName[uint64]{
	{unix.MOUNT_ATTR_RDONLY, "ro"},
	{unix.MOUNT_ATTR_NOSUID, "nosuid"},
	{unix.MOUNT_ATTR_NODEV, "nodev"},
	{unix.MOUNT_ATTR_NOEXEC, "noexec"},
}

// MountAttributes names mount_setattr(2)'s flags.
func MountAttributes(set uint64) string { return names(set, mountAttributeNames) }

func names[T uintptr | uint64](flags T, table []flagName[T]) string {
	var found []string
	for _, f := range table {
		if flags&f.flag != 0 {
			found = append(found, f.name)
			flags &^= f.flag
		}
	}
	if flags != 0 {
		found = append(found, fmt.Sprintf("%#x", flags))
	}
	if found == nil {
		return "none"
	}
	return strings.Join(found, ",")
}

// SetMountAttributes adds flags to the mount that f is the root of, and to all
// below it where recursive. Flags that are there already stay, as a user
// namespace must not take away what its parent locked.
//
// mount_setattr(2) is there since Linux 5.12. Before, the one mount is
// remounted, and a recursive change is refused: leaving what is below it
// writable would be a lie.
func SetMountAttributes(f *os.File, set uint64, recursive bool) error {
	if set == 0 {
		return nil
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	err := unix.MountSetattr(int(f.Fd()), "", flags, &unix.MountAttr{Attr_set: set})
	if err != unix.ENOSYS && err != unix.EPERM || recursive { // EPERM: a filter older than the call
		return err
	}
	return remount(f, set)
}

// remount sets flags the old way, together with those that are set already.
func remount(f *os.File, set uint64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return err
	}
	// The ST_ flags of statfs(2) that a remount must repeat equal their MS_
	// namesakes, and so do the four MOUNT_ATTR_ flags.
	const kept = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME
	flags := uintptr(st.Flags)&kept | uintptr(set) | unix.MS_REMOUNT | unix.MS_BIND
	return unix.Mount("", FDPath(f), "", flags, "")
}
