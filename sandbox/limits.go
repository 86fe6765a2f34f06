package sandbox

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"rootlet/internal/need"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/record"
)

// enforcers are what may hold the container to its limits, best first.
func (m *monitor) enforcers() []cgroup.Enforcer {
	var all []cgroup.Enforcer
	if m.cgroup != nil {
		all = append(all, m.cgroup)
	}
	if !m.Spec.Requires(record.RequireLimits) {
		all = append(all, bestEffort{m})
	}
	return all
}

// makeCgroup makes the group that the program is to begin in, where this host gives one.
func (m *monitor) makeCgroup() (cgroup.Entrance, error) {
	m.state.Cgroup, m.state.Cgroups = "", nil
	if m.cgroup = cgroup.Own(m.container.ID); m.cgroup == nil {
		return cgroup.Entrance{}, nil
	}
	m.cgroup.Note(&m.state)
	return m.cgroup.Entrance()
}

// removeLeftCgroup takes away the group that a container's last life has left, its
// monitor having been killed.
func removeLeftCgroup(s record.State, id string) {
	if left := cgroup.Of(s, id); left != nil {
		left.Remove()
	}
}

func descriptors(files []*os.File) []int {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return fds
}

// applyLimits has each limit held by the first that can. What nothing holds is told of,
// or refused where the user has said --require limits.
func (m *monitor) applyLimits(l record.Limits) error {
	by := map[string]record.Way{}
	for _, name := range l.Names() {
		by[name] = record.Way{Why: "nothing on this host holds it"}
	}
	for _, e := range m.enforcers() {
		for name, way := range e.Apply(l.Without(by)) {
			if way.Why == "" {
				way.Why = by[name].Why
			}
			by[name] = way
		}
	}
	m.state.LimitedBy = by
	return m.tellUnheld(by)
}

// tellUnheld says which limits do not hold, and why.
func (m *monitor) tellUnheld(by map[string]record.Way) error {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		if by[name].By == "" {
			texts = append(texts, fmt.Sprintf("--%s does not hold: %s", name, by[name].Why))
		}
	}
	m.tellBestEffort(by)
	if len(texts) == 0 {
		return nil
	}
	if m.Spec.Requires(record.RequireLimits) {
		return &Failure{Code: codeEngine, Message: strings.Join(texts, "; "), Fix: "leave the limit out, or --require limits", Lacks: need.Limits}
	}
	for _, text := range texts {
		m.notice(text)
	}
	return nil
}

// tellBestEffort says which limits the kernel does not enforce on the container as a whole.
func (m *monitor) tellBestEffort(by map[string]record.Way) {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		if how, ok := strings.CutPrefix(by[name].By, record.BestEffort+": "); ok {
			texts = append(texts, fmt.Sprintf("--%s (%s)", name, how))
		}
	}
	if len(texts) > 0 {
		m.notice(record.BestEffort + " on this host: " + strings.Join(texts, ", "))
	}
}
