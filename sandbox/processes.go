package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Processes lists the processes of a container, its first one's pid given: host
// pids, in no order, of those in its pid namespace or in one nested below it.
// One that begins or ends meanwhile may be listed or not; none is listed twice,
// and none of another container's ever is.
//
// The caller is the user's command or the monitor: it must have the host's /proc.
func Processes(initPID int) ([]int, error) {
	target, err := namespaceID(initPID, "pid")
	if err != nil {
		return nil, fmt.Errorf("pid namespace of process %d: %w", initPID, err)
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	inside := map[string]bool{target: true}
	if own, err := os.Readlink("/proc/self/ns/pid"); err == nil && own != target {
		inside[own] = false // most processes of the host are answered by this
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// Another user's process, or one that is gone: none of the container's.
		id, err := namespaceID(pid, "pid")
		if err != nil {
			continue
		}
		if _, known := inside[id]; !known {
			inside[id] = isBelow(pid, target)
		}
		if inside[id] {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// namespaceID names a namespace of a process as the kernel does, for comparison:
// "pid:[4026531836]".
func namespaceID(pid int, kind string) (string, error) {
	id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return "", unix.ESRCH
	}
	return id, err
}

// isBelow reports whether a process's pid namespace is nested below target.
func isBelow(pid int, target string) bool {
	at, err := unix.Open(fmt.Sprintf("/proc/%d/ns/pid", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == nil {
		var parent int
		// ioctl_nsfs(2): EPERM once the parent is none below our own.
		parent, err = unix.IoctlRetInt(at, unix.NS_GET_PARENT)
		unix.Close(at)
		if err != nil {
			return false
		}
		id, linkErr := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", parent))
		if linkErr != nil || id == target {
			unix.Close(parent)
			return linkErr == nil
		}
		at = parent
	}
	return false
}
