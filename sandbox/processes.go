package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// Processes lists the processes of a container that runs: host pids, in no order, of
// those in its pid namespace or in one nested below it; where that is not its own, of
// those in its user namespace, likewise. One that begins or ends meanwhile may be
// listed or not; none is listed twice, and none of another container's ever is.
//
// The caller is the user's command or the monitor: it must have the host's /proc.
func Processes(state record.State) ([]int, error) {
	of, err := membersOf(state)
	if err != nil {
		return nil, err
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
	inside := map[string]bool{of.id: true}
	if own, err := os.Readlink("/proc/self/ns/" + of.kind); err == nil && own != of.id {
		inside[own] = false // most processes of the host are answered by this
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// Another user's process, or one that is gone: none of the container's.
		id, err := namespaceID(pid, of.kind)
		if err != nil {
			continue
		}
		if _, known := inside[id]; !known {
			inside[id] = of.isAbove(pid)
		}
		if inside[id] {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// members tells what belongs to a container: that which is in one namespace, or below.
type members struct{ kind, id string }

func membersOf(state record.State) (members, error) {
	if state.UserNS != "" {
		return members{"user", state.UserNS}, nil
	}
	id, err := namespaceID(state.PID, "pid")
	if err != nil {
		return members{}, fmt.Errorf("pid namespace of process %d: %w", state.PID, err)
	}
	return members{"pid", id}, nil
}

// has reports whether a process is one of them.
func (of members) has(pid int) bool {
	id, err := namespaceID(pid, of.kind)
	return err == nil && (id == of.id || of.isAbove(pid))
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

// isAbove reports whether a process's namespace is nested below the one that they are in.
func (of members) isAbove(pid int) bool {
	at, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, of.kind), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == nil {
		var parent int
		// ioctl_nsfs(2): EPERM once the parent is none below our own.
		parent, err = unix.IoctlRetInt(at, unix.NS_GET_PARENT)
		unix.Close(at)
		if err != nil {
			return false
		}
		id, linkErr := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", parent))
		if linkErr != nil || id == of.id {
			unix.Close(parent)
			return linkErr == nil
		}
		at = parent
	}
	return false
}
