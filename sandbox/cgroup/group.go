package cgroup

import (
	"os"
	"path/filepath"
	"strconv"

	"rootlet/sandbox/record"
)

// Group is the control group of one container, for one life of its program.
type Group interface {
	Enforcer
	// Note writes down where it is.
	Note(*record.State)
	// Entrance is how a process comes into it.
	Entrance() (Entrance, error)
	// Freezes reports whether it can stop its processes.
	Freezes() bool
	// Freeze stops all its processes or lets them go on, and waits until it is so.
	Freeze(frozen bool) error
	// Has reports whether a process is in it, by the number that /proc gives it.
	Has(pid int) bool
	// OOMKills counts its processes that were killed for want of memory. It is false
	// where nothing counts them.
	OOMKills() (int, bool)
	// Remove takes it away. Its last process is gone.
	Remove()
}

// Entrance is how a process comes into a group: by being cloned into it, which Linux has
// since 5.7 for version 2, or by entering it before it is anything.
type Entrance struct {
	Dir   *os.File   // to be cloned into; nil: that is no way
	Procs []*os.File // each takes a process that writes "0" to it
}

// Close closes the descriptors.
func (e Entrance) Close() {
	for _, f := range append(e.Procs, e.Dir) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Take moves a process of the caller's pid namespace in, with all its threads.
func (e Entrance) Take(pid int) error {
	for _, procs := range e.Procs {
		if _, err := procs.WriteString(strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// What holds limits, as inspect and info have it.
const (
	WayScope   = "cgroup v2, in a scope of systemd's"
	WayUnified = "cgroup v2"
	WayLegacy  = "cgroup v1"
)

// Make makes the group of a container. One of its last life may be there still.
func Make(p Place, id string) (Group, error) {
	if p.Dir != "" {
		return makeUnified(p.Dir, id)
	}
	return makeLegacy(p.Dirs, id)
}

// nameOf is what a container's group is called.
func nameOf(id string) string { return scopePrefix + id[:idLength] }

// idLength is how much of a container's id is in the name.
const idLength = 12

// Of is the group that a record names; nil where it names none. The name says that it is
// the container's: nothing else of the user's is touched for a damaged record.
func Of(s record.State, id string) Group {
	if s.Cgroup != "" && filepath.Base(s.Cgroup) == nameOf(id) {
		return &unified{dir: s.Cgroup}
	}
	if len(s.Cgroups) == 0 {
		return nil
	}
	for _, dir := range s.Cgroups {
		if filepath.Base(dir) != nameOf(id) {
			return nil
		}
	}
	return &legacy{dirs: s.Cgroups}
}
