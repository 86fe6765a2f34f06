package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hierarchies are the trees of control groups that are mounted, and where in them this
// process is.
type hierarchies struct {
	root    string // "/" but in tests
	unified mount  // of version 2; without a directory: none
	own     string // our path in it
	legacy  map[string]legacyGroup
}

// legacyGroup is our group in a hierarchy of version 1.
type legacyGroup struct {
	mount
	path string
}

// mount is where a hierarchy is mounted, and from which of its groups on.
type mount struct{ dir, from string }

// groupDir is the directory of a group, empty where it is not to be seen there.
func (m mount) groupDir(path string) string {
	path = filepath.Clean("/" + strings.TrimPrefix(path, "/"))
	rest := path
	if m.from != "/" {
		var below bool
		if rest, below = strings.CutPrefix(path, m.from); !below || rest != "" && rest[0] != '/' {
			return ""
		}
	}
	if m.dir == "" {
		return ""
	}
	return filepath.Join(m.dir, rest)
}

func (h hierarchies) unifiedDir(path string) string { return h.unified.groupDir(path) }

// readHierarchies asks the kernel.
func readHierarchies(root string) (hierarchies, error) {
	h := hierarchies{root: root, legacy: map[string]legacyGroup{}}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return h, err
	}
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return h, err
	}
	found := h.readMounts(string(mounts))
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || slices.Contains(strings.Split(fields[2], "/"), "..") {
			continue
		}
		if fields[0] == "0" {
			h.own = fields[2]
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if m, mounted := found[controller]; mounted {
				h.legacy[controller] = legacyGroup{m, fields[2]}
			}
		}
	}
	return h, nil
}

// readMounts finds the mounts in mountinfo (proc_pid_mountinfo(5)), those of version 1 by
// controller.
func (h *hierarchies) readMounts(text string) map[string]mount {
	found := map[string]mount{}
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		fields, of := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(of) < 3 {
			continue
		}
		m := mount{filepath.Join(h.root, fields[4]), fields[3]}
		switch of[0] {
		case "cgroup2":
			h.unified = m
		case "cgroup":
			for option := range strings.SplitSeq(of[2], ",") {
				found[option] = m
			}
		}
	}
	return found
}
