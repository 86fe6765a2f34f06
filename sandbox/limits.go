package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/record"
)

// findCgroup looks, in the user's own command, for where a monitor can make the group of
// a container that has limits: the monitor has a pid namespace of its own, and can move
// nobody but itself.
func (r *Request) findCgroup(monitor int) error {
	spec := r.Spec
	if r.Start != "" {
		var err error
		if spec, err = record.Root(r.Paths.Data).Spec(r.Start); err != nil {
			return nil // the monitor has the words for it
		}
	}
	if r.CreateOnly || !spec.Grouped().Any() && spec.CgroupParent == "" {
		return nil
	}
	sweepCgroups(record.Root(r.Paths.Data))
	var err error
	r.Cgroup, err = cgroup.Find("/", cgroup.Wish{
		Limits: spec.Grouped(), Parent: spec.CgroupParent, Monitor: monitor, Name: record.NewID()[:12], User: BusUser(),
	})
	if err != nil {
		return &Failure{Code: codeEngine, Message: err.Error(), Lacks: need.Limits}
	}
	return nil
}

// BusUser is the caller as his bus knows him.
func BusUser() cgroup.User {
	return cgroup.User{UID: os.Getuid(), Bus: os.Getenv("DBUS_SESSION_BUS_ADDRESS"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR")}
}

// makeCgroup makes the group that the program is to begin in, where this host gives one.
func (m *monitor) makeCgroup() (cgroup.Entrance, error) {
	m.state.Cgroup, m.state.Cgroups, m.cgroup = "", nil, nil
	if m.Request.Cgroup.Some() {
		made, err := cgroup.Make(m.Request.Cgroup, m.container.ID)
		if err != nil {
			return cgroup.Entrance{}, fmt.Errorf("make the container's control group: %w", err)
		}
		m.cgroup = made
	} else if m.cgroup = cgroup.Own(m.container.ID); m.cgroup == nil {
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

// sweepCgroups takes away those that nothing names any more.
func sweepCgroups(root record.Root) {
	cgroup.Sweep("/", func(short string) bool {
		id, err := root.Find(short)
		return err == nil && root.Alive(id)
	})
}

func descriptors(files []*os.File) []int {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return fds
}

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

// applyLimits has each limit held by the first that can. What nothing holds is told of,
// or refused where the user has said --require limits.
func (m *monitor) applyLimits() error {
	l, by := m.Spec.Holding(), map[string]record.Way{}
	why := m.noGroup()
	for _, name := range l.Names() {
		by[name] = record.Way{Why: why}
	}
	if l.Disk > 0 {
		by[record.LimitDisk] = record.Way{Why: "an ordinary user can set no quota"}
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

// tellUnheld says which limits do not hold, and why. What a sandbox has of itself, where
// that can be had, is not the user's to worry about.
func (m *monitor) tellUnheld(by map[string]record.Way) error {
	required := slices.Contains(m.Spec.Require, need.Limits)
	asked := m.Spec.Limits.Names()
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		if by[name].By == "" && (required || slices.Contains(asked, name)) {
			texts = append(texts, Unheld(name, by[name]))
		}
	}
	m.tellBestEffort(asked, by)
	if len(texts) == 0 {
		return nil
	}
	if required {
		return &Failure{Code: codeEngine, Message: strings.Join(texts, "; "), Fix: "leave out the limit, or --require limits", Lacks: need.Limits}
	}
	for _, text := range texts {
		m.notice(text)
	}
	return nil
}

// tellBestEffort says which limits the kernel does not enforce on the container as a whole.
func (m *monitor) tellBestEffort(asked []string, by map[string]record.Way) {
	var texts []string
	for _, name := range asked {
		if how, ok := strings.CutPrefix(by[name].By, record.BestEffort+": "); ok {
			texts = append(texts, fmt.Sprintf("--%s (%s)", name, how))
		}
	}
	if len(texts) > 0 {
		m.notice(record.BestEffort + " on this host: " + strings.Join(texts, ", "))
	}
}

// Unheld are the words for a limit that does not hold.
func Unheld(name string, way record.Way) string {
	return fmt.Sprintf("--%s does not hold: %s", name, way.Why)
}

// Update has a container that is up hold the limits that are written down by now. One
// that runs without a control group gets one, where this host gives that, and its
// processes are moved there, which only a process of the host's can do.
func Update(p Paths, id string) error {
	root := record.Root(p.Data)
	before, err := root.Live(id)
	if err != nil {
		return err
	}
	spec, err := root.Spec(id)
	if err != nil {
		return err
	}
	a := ask{Verb: verbUpdate}
	if before.Status.Up() && cgroup.Of(before, id) == nil && spec.Grouped().Any() {
		monitor := parentOf(before.PID)
		if again, err := root.Live(id); err != nil || again.PID != before.PID || parentOf(before.PID) != monitor {
			return errors.Join(ErrNotRunning, err)
		}
		a.Cgroup, err = cgroup.Find("/", cgroup.Wish{
			Limits: spec.Grouped(), Parent: spec.CgroupParent, Monitor: monitor, Name: record.NewID()[:12], User: BusUser(),
		})
		if err != nil {
			return err
		}
	}
	if err := tell(p, id, a); err != nil || !a.Cgroup.Some() {
		return err
	}
	now, err := root.Live(id)
	if err != nil {
		return err
	}
	if err := moveIn(now, id); err != nil {
		return tell(p, id, ask{Verb: verbUpdate, Outside: err.Error() + "; stop it and start it again"})
	}
	return nil
}

// moveIn moves all processes of a container into its control group, until none is found
// outside: one that is may have made another meanwhile.
func moveIn(now record.State, id string) error {
	group := cgroup.Of(now, id)
	if group == nil {
		return nil
	}
	into, err := group.Entrance()
	if err != nil {
		return err
	}
	defer into.Close()
	moved := map[int]bool{}
	for range stopRounds {
		pids, err := Processes(now)
		if err != nil {
			return err
		}
		found := false
		for _, pid := range pids {
			if moved[pid] {
				continue
			}
			moved[pid], found = true, true
			err := into.Take(pid)
			if errors.Is(err, unix.EACCES) {
				err = cgroup.Attach(BusUser(), now.Cgroup, pid)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("process %d cannot be moved to the container's control group: %w", pid, err)
			}
		}
		if !found {
			return nil
		}
	}
	return errors.New("its processes multiply faster than they can be moved to its control group")
}

// update has the limits hold that are written down by now.
func (m *monitor) update(a ask) error {
	if a.Outside != "" {
		for name := range m.state.LimitedBy {
			m.state.LimitedBy[name] = record.Way{Why: a.Outside}
		}
		m.writeState(false)
		return nil
	}
	place := a.Cgroup
	spec, err := record.Root(m.Paths.Data).Spec(m.container.ID)
	if err != nil {
		return err
	}
	before := m.Spec.Limits
	m.Spec.Limits = spec.Limits
	if place.Some() || place.Why != "" {
		m.Request.Cgroup = place
	}
	if !m.state.Status.Up() {
		return nil // its next life has them
	}
	if m.cgroup == nil && place.Some() {
		into, err := m.makeCgroup()
		if err != nil {
			return err
		}
		into.Close()
	}
	if err := m.applyLimits(); err != nil {
		m.Spec.Limits = before
		return err
	}
	m.writeState(false)
	return nil
}
