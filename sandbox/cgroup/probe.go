package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// Finding is what would hold a container to limits here.
type Finding struct {
	Way         string   // empty: nothing
	Version     string   // of the control groups that this host mounts: "2", or "1" where there are any of that
	Controllers []string // that limit
	Why         string   // why there is nothing better
}

// Probe is Find for info and doctor, and makes nothing.
func Probe(root string, u User) Finding {
	h, err := readHierarchies(root)
	if err != nil {
		return Finding{Version: "1", Why: err.Error()}
	}
	f := Finding{Version: "1"}
	if h.unified.dir != "" && len(h.legacy) == 0 {
		f.Version = "2"
	}
	pids := int64(1)
	if !h.limits2(record.Limits{Memory: 1, NanoCPUs: 1, Pids: &pids}) {
		f.ofLegacy(h.legacyPlace())
		return f
	}
	errScope := hasSystemd(u)
	if errScope == nil {
		id := strconv.Itoa(u.UID)
		manager := h.unifiedDir("/user.slice/user-" + id + ".slice/user@" + id + ".service")
		f.Way, f.Controllers = WayScope, limitingOf(words(manager, "cgroup.controllers"))
		return f
	}
	own := h.unifiedDir(h.own)
	dir, err := own, mine(own)
	if around := filepath.Dir(own); err != nil && own != h.unified.dir && mine(around) == nil {
		dir, err = around, nil
	}
	if err == nil {
		f.Way, f.Controllers = WayUnified, limitingOf(words(dir, "cgroup.controllers"))
	}
	f.Why = oneLine(noScope(errScope), err)
	return f
}

func (f *Finding) ofLegacy(p Place) {
	f.Why = p.Why
	for _, controller := range controllers1 {
		if p.Dirs[controller] != "" {
			f.Way = WayLegacy
			f.Controllers = append(f.Controllers, controller)
		}
	}
	if f.Way != "" {
		f.Why = "this host mounts the controllers as cgroups of version 1"
	}
}

// limitingOf are those of a group's controllers that limit.
func limitingOf(have []string) []string {
	return slices.DeleteFunc(have, func(c string) bool { return !slices.Contains(controllers2, c) })
}

// hasSystemd asks the bus for systemd.
func hasSystemd(u User) error {
	b, err := dialBus(u.addresses(), u.UID, busWait)
	if err != nil {
		return err
	}
	defer b.close()
	var e encoder
	e.string("org.freedesktop.systemd1")
	return b.call(call{
		path: "/org/freedesktop/DBus", dest: "org.freedesktop.DBus", iface: "org.freedesktop.DBus",
		member: "GetNameOwner", signature: "s", body: e.bytes,
	})
}

// Sweep takes away the groups that monitors which were killed have left below those that
// we make them below. alive says whether a container whose id begins so has a monitor.
func Sweep(root string, alive func(id string) bool) {
	h, err := readHierarchies(root)
	if err != nil {
		return
	}
	parents := []string{h.unifiedDir(h.own)}
	if parents[0] != "" && parents[0] != h.unified.dir {
		parents = append(parents, filepath.Dir(parents[0]))
	}
	for _, g := range h.legacy {
		parents = append(parents, g.groupDir(g.path))
	}
	for _, parent := range parents {
		entries, _ := os.ReadDir(parent)
		for _, e := range entries {
			id, ours := strings.CutPrefix(e.Name(), scopePrefix)
			if !ours || len(id) != idLength || strings.Trim(id, "0123456789abcdef") != "" || alive(id) {
				continue
			}
			// It may be another store's, and about to get its first process.
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > leftFor {
				_ = unix.Rmdir(filepath.Join(parent, e.Name(), inner))
				_ = unix.Rmdir(filepath.Join(parent, e.Name()))
			}
		}
	}
}

// leftFor is how old a group is that nobody is about to use.
const leftFor = time.Minute

// oneLine joins errors for a place that has one line.
func oneLine(errs ...error) string {
	joined := errors.Join(errs...)
	if joined == nil {
		return ""
	}
	return strings.ReplaceAll(joined.Error(), "\n", "; ")
}
