package cli

import "rootlet/sandbox/cgroup"

// limitsInfo says what holds containers to their limits here.
type limitsInfo struct {
	By          string   // cgroup v2 ...; empty: no control groups
	Controllers []string // that it has for that
	Why         string   // why there is nothing better
}

// addCgroup says what would hold a container to its limits. root is "/" but in tests.
func (i *hostInfo) addCgroup(root string, user cgroup.User) {
	found := cgroup.Probe(root, user)
	i.CgroupVersion, i.CgroupDriver = found.Version, "none"
	switch found.Way {
	case cgroup.WayScope:
		i.CgroupDriver = "systemd"
	case cgroup.WayUnified, cgroup.WayLegacy:
		i.CgroupDriver = "cgroupfs"
	}
	i.Limits = limitsInfo{By: found.Way, Controllers: append([]string{}, found.Controllers...), Why: found.Why}
}
