package cgroup

import (
	"path/filepath"

	"rootlet/sandbox/record"
)

// Group is the control group of one container, for one life of its program.
type Group interface {
	Enforcer
	// Note writes down where it is.
	Note(*record.State)
	// Entrance is how a process comes into it.
	Entrance() (Entrance, error)
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

// nameOf is what a container's group is called.
func nameOf(id string) string { return "rootlet-" + id[:12] }

// Of is the group that a record names; nil where it names none. The name says that it is
// the container's: nothing else of the user's is touched for a damaged record.
func Of(s record.State, id string) Group {
	if s.Cgroup != "" && filepath.Base(s.Cgroup) == nameOf(id) {
		return &unified{dir: s.Cgroup}
	}
	return nil
}
