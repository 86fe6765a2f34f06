package cli

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// addCgroup says whether containers get a cgroup of their own: they do where the
// one that the user's command runs in is his to divide (cgroups(7),
// "Delegation"). root is "/" but in tests.
func (i *hostInfo) addCgroup(root string) {
	i.CgroupDriver, i.CgroupVersion = "none", "1"
	base := filepath.Join(root, "sys/fs/cgroup")
	// The list is at the root of the only hierarchy that version 2 has; beside
	// version 1, one without controllers may be mounted at unified.
	if _, err := os.Stat(filepath.Join(base, "cgroup.controllers")); err == nil {
		i.CgroupVersion = "2"
	} else if _, err := os.Stat(filepath.Join(base, "unified", "cgroup.controllers")); err == nil {
		base = filepath.Join(base, "unified")
	} else {
		i.CgroupWhy = "this host has cgroups of version 1 only, which no ordinary user may divide"
		return
	}
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		i.CgroupWhy = err.Error()
		return
	}
	for line := range strings.Lines(string(text)) {
		path, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		procs := filepath.Join(base, path, "cgroup.procs")
		if err := unix.Access(procs, unix.W_OK); err != nil {
			i.CgroupWhy = procs + ": " + err.Error()
			return
		}
		i.CgroupDriver, i.cgroup = "cgroupfs", filepath.Dir(procs)
		return
	}
	i.CgroupWhy = "this process is in no cgroup of version 2"
}
