package sandbox

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
)

// bestEffort holds a container to limits where this host gives it no control group that
// does: by what the kernel lets a process be bound to, and by what the monitor sees
// (watching.go). docs/limits.md says what that is worth.
type bestEffort struct{ m *monitor }

// Apply has the limits hold, from the program's first step on or, where it runs, at once.
func (b bestEffort) Apply(l record.Limits) map[string]record.Way {
	m := b.m
	ways := map[string]record.Way{}
	say := func(name, by, why string) { ways[name] = record.Way{By: by, Why: why} }
	m.watchFor(l)
	for _, name := range l.Names() {
		switch name {
		case record.LimitMemory, record.LimitDisk:
			say(name, record.ByWatching, "")
		case record.LimitPids:
			by, why := b.bindTasks(int(*l.Pids))
			say(name, by, why)
		case record.LimitCPUShares:
			by, why := b.beNice(l.CPUShares)
			say(name, by, why)
		case record.LimitCPUs, record.LimitCpusetCPUs: // below, together
		default:
			say(name, "", "it takes a control group: "+m.noGroup())
		}
	}
	if l.CpusetCPUs != "" || slices.Contains(l.Names(), record.LimitCPUs) {
		b.tie(l, ways)
	} else {
		m.state.Processors = ""
	}
	return ways
}

// noGroup is why there is none.
func (m *monitor) noGroup() string {
	return cmp.Or(m.Request.Cgroup.Why, "it was started without one; stop it and start it again")
}

// nprocCounts reports whether the kernel counts a container's processes for RLIMIT_NPROC by
// themselves, and not together with all of the user's (Linux 5.14), and holds them to it:
// those of the host's root it does not.
func (m *monitor) nprocCounts() bool {
	machine, err := seccomp.Here(nil)
	return err == nil && m.Host.UID != 0 && (machine.Kernel[0] > 5 || machine.Kernel[0] == 5 && machine.Kernel[1] >= 14)
}

// bindTasks bounds processes and threads.
func (b bestEffort) bindTasks(limit int) (by, why string) {
	m := b.m
	if !m.nprocCounts() {
		m.watching.tasks = limit
		return record.ByWatching, "RLIMIT_NPROC does not count a container by itself here"
	}
	if m.pid == 0 {
		return record.ByNProc, ""
	}
	raised := false
	err := m.everyThread(func(_, pid int) error {
		var now unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NPROC, nil, &now); err != nil {
			return err
		}
		raised = raised || now.Max < uint64(limit)
		now.Max = min(now.Max, uint64(limit))
		now.Cur = now.Max
		return unix.Prlimit(pid, unix.RLIMIT_NPROC, &now, nil)
	})
	switch {
	case err != nil:
		return "", err.Error()
	case raised:
		return record.ByNProc, "more than it was started with from its next start on"
	}
	return record.ByNProc, ""
}

// beNice gives the program less weight than others. The kernel's steps are of a quarter
// (sched(7), "The nice value").
func (b bestEffort) beNice(shares int64) (by, why string) {
	if shares > usualShares {
		return "", "nobody but root may have more than his share"
	}
	nice := niceOf(shares)
	if b.m.pid != 0 {
		if err := b.m.everyThread(func(tid, _ int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, nice) }); err != nil {
			return "", fmt.Sprintf("it may be made less while it runs, and not more: %v", err)
		}
	}
	return fmt.Sprintf("%s: nice %d", record.BestEffort, nice), ""
}

// usualShares is the weight of everybody.
const usualShares = 1024

func niceOf(shares int64) int {
	nice := math.Round(math.Log(usualShares/float64(shares)) / math.Log(1.25))
	return int(min(max(nice, 0), 19))
}

// tie chooses processors for the program and ties it to them.
func (b bestEffort) tie(l record.Limits, ways map[string]record.Way) {
	m := b.m
	list, err := choose(l, processors(), m.container.ID)
	if err == nil && m.pid != 0 {
		set := setOf(list)
		err = m.everyThread(func(tid, _ int) error { return unix.SchedSetaffinity(tid, &set) })
	}
	by := fmt.Sprintf("%s: tied to %d processors (%s)", record.BestEffort, len(list), formatList(list))
	if len(list) == 1 {
		by = fmt.Sprintf("%s: tied to processor %d", record.BestEffort, list[0])
	}
	if m.Spec.HasNoFilter() {
		by += ", until it undoes it"
	}
	way := record.Way{By: by}
	m.state.Processors = formatList(list)
	if err != nil {
		way, m.state.Processors = record.Way{Why: err.Error()}, ""
	}
	for _, name := range l.Names() {
		switch name {
		case record.LimitCpusetCPUs:
			ways[name] = way
		case record.LimitCPUs:
			ways[name] = way
			if quota, period := l.CPU(); err == nil && quota%period != 0 {
				ways[name] = record.Way{By: way.By, Why: "less than a whole processor cannot be had"}
			}
		}
	}
}

// choose are the processors of a container, of those that it may have: as many as --cpus
// needs, and not the same ones for all.
func choose(l record.Limits, may []int, id string) ([]int, error) {
	if l.CpusetCPUs != "" {
		wanted, err := record.ParseSet(l.CpusetCPUs)
		if err != nil {
			return nil, err
		}
		may = slices.DeleteFunc(slices.Clone(may), func(n int) bool { return !slices.Contains(wanted, n) })
	}
	if len(may) == 0 {
		return nil, fmt.Errorf("none of these processors may be used here")
	}
	quota, period := l.CPU()
	n := int((quota + period - 1) / period)
	if quota <= 0 || n >= len(may) {
		return may, nil
	}
	from := 0
	if number, err := strconv.ParseUint(id[:min(len(id), 8)], 16, 64); err == nil {
		from = int(number % uint64(len(may)))
	}
	chosen := slices.Concat(may[from:], may[:from])[:n]
	slices.Sort(chosen)
	return chosen, nil
}

// processors are those that this process may use.
func processors() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var list []int
	for n := range len(set) * strconv.IntSize {
		if set.IsSet(n) {
			list = append(list, n)
		}
	}
	return list
}

func setOf(list []int) unix.CPUSet {
	var set unix.CPUSet
	for _, n := range list {
		set.Set(n)
	}
	return set
}

// formatList writes numbers as the kernel does: 0-2,4.
func formatList(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}

// maxRounds bounds how often everyThread looks for threads that were begun meanwhile.
const maxRounds = 20

// everyThread has f change each thread of a container that runs, by numbers that system
// calls take, until no new one is found: what a thread begins afterwards inherits the
// change.
func (m *monitor) everyThread(f func(tid, pid int) error) error {
	processes, err := m.processes()
	if err != nil {
		return err
	}
	defer processes.Close()
	if !processes.Numbered() {
		return fmt.Errorf("not while it runs: its pid namespace is not its own, or this host's /proc is covered")
	}
	seen := map[int]bool{}
	for range maxRounds {
		all, err := processes.All()
		if err != nil {
			return err
		}
		found := false
		for _, process := range all {
			for _, tid := range processes.Threads(process) {
				if seen[tid] {
					continue
				}
				seen[tid], found = true, true
				if err := f(tid, process.PID); err != nil && err != unix.ESRCH {
					return err
				}
			}
		}
		if !found {
			return nil
		}
	}
	return fmt.Errorf("its processes multiply faster than they can be changed")
}
