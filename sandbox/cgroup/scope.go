package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// User is who asks the bus.
type User struct {
	UID        int
	Bus        string // DBUS_SESSION_BUS_ADDRESS
	RuntimeDir string // XDG_RUNTIME_DIR
}

// addresses are where the user's bus may be.
func (u User) addresses() string {
	if u.Bus != "" {
		return u.Bus
	}
	if u.RuntimeDir != "" {
		return "unix:path=" + filepath.Join(u.RuntimeDir, "bus")
	}
	return fmt.Sprintf("unix:path=/run/user/%d/bus", u.UID)
}

// The parts of a scope: the monitor, with its helpers, is beside the containers' group, as
// a group that passes controllers on has no processes of its own (cgroups(7), "no internal
// processes").
const (
	scopePrefix = "rootlet-"
	scopeSuffix = ".scope"
	besides     = "monitor"
)

// startScope has the user's systemd make a scope around a process of his, and leads that
// into its part of it. slice is empty for the usual one.
func startScope(u User, h hierarchies, name, slice string, pid int) (dir string, err error) {
	b, err := dialBus(u.addresses(), u.UID, busWait)
	if err != nil {
		return "", err
	}
	defer b.close()
	deadline := time.Now().Add(busWait)
	if err := b.call(scopeCall(name, slice, pid)); err != nil {
		return "", err
	}
	// The answer says that it is going to; it has once the process is there.
	for ; ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil {
			return "", err
		}
		if path, ok := v2Path(string(text)); ok && filepath.Base(path) == name {
			dir = h.unifiedDir("/" + path)
			break
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("systemd has not put process %d into %s for %v", pid, name, busWait)
		}
	}
	part := filepath.Join(dir, besides)
	if err := os.Mkdir(part, 0o755); err != nil {
		return "", err
	}
	return dir, move(part, pid)
}

// move moves a process to a group.
func move(dir string, pid int) error {
	return write(dir, "cgroup.procs", strconv.Itoa(pid))
}

// systemd is where the user's systemd is called.
func systemd(member, signature string, e encoder) call {
	return call{
		path: "/org/freedesktop/systemd1", dest: "org.freedesktop.systemd1", iface: "org.freedesktop.systemd1.Manager",
		member: member, signature: signature, body: e.bytes,
	}
}

// scopeCall is StartTransientUnit (org.freedesktop.systemd1(5)).
func scopeCall(name, slice string, pid int) call {
	var e encoder
	e.string(name)
	e.string("fail") // where there is one already
	e.array(8, func() {
		e.property("Description", "s", func() { e.string("a container of rootlet's") })
		e.property("Delegate", "b", func() { e.uint32(1) })
		e.property("CollectMode", "s", func() { e.string("inactive-or-failed") })
		if slice != "" {
			e.property("Slice", "s", func() { e.string(slice) })
		}
		e.property("PIDs", "au", func() { e.array(4, func() { e.uint32(uint32(pid)) }) })
	})
	e.array(8, func() {}) // no other units
	return systemd("StartTransientUnit", "ssa(sv)a(sa(sv))", e)
}

// Join has a process that is about to join a container come near to its group: from a
// login session no process can be moved into a scope but by systemd. It is for those that
// have Entrance refused.
func Join(u User, group string, pid int) error { return attach(u, group, besides, pid) }

// Attach has a process moved into the group itself. systemd moves none of subordinate ids.
func Attach(u User, group string, pid int) error { return attach(u, group, filepath.Base(group), pid) }

// attach is AttachProcessesToUnit, to one part of the scope of ours that a group is in.
func attach(u User, group, part string, pid int) error {
	name := filepath.Base(filepath.Dir(group))
	if !strings.HasPrefix(name, scopePrefix) || !strings.HasSuffix(name, scopeSuffix) {
		return errors.New("it is in no scope")
	}
	b, err := dialBus(u.addresses(), u.UID, busWait)
	if err != nil {
		return err
	}
	defer b.close()
	var e encoder
	e.string(name)
	e.string("/" + part)
	e.array(4, func() { e.uint32(uint32(pid)) })
	return b.call(systemd("AttachProcessesToUnit", "ssau", e))
}
