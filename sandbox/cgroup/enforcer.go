// Package cgroup holds containers to their limits by control groups: of version 2, in a
// scope that the user's systemd makes or below a directory that is his to divide, and of
// version 1 where directories of his are all there is (cgroups(7), "Delegation"). Find
// runs in the user's command, which sees the host's processes; Make and all that comes
// after in the monitor.
package cgroup

import "rootlet/sandbox/record"

// Enforcer holds a container to its limits, for one life of its program.
type Enforcer interface {
	// Apply has these limits hold from now on, and none of those before. It answers for
	// each that is asked for, by its name; a Way without By is one that it cannot hold.
	Apply(record.Limits) map[string]record.Way
}
