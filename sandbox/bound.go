package sandbox

import (
	"runtime"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
)

// bind has a program begin with what its container is bound to by best effort: the first
// one, and each that joins it.
func (g *program) bind(s *record.Spec, state record.State) error {
	l := s.Holding()
	if state.LimitedBy[record.LimitPids].By == record.ByNProc && l.Pids != nil {
		g.limits = append(g.limits, g.ofTasks(*l.Pids))
	}
	if state.LimitedBy[record.LimitCPUShares].IsBestEffort() {
		g.nice = niceOf(l.CPUShares)
	}
	if state.Processors == "" {
		return nil
	}
	var err error
	if g.processors, err = record.ParseSet(state.Processors); err != nil || g.filter == nil {
		return err
	}
	machine, err := seccomp.Here(g.caps.has)
	if err != nil {
		return err
	}
	pinned, err := seccomp.Pinned(machine)
	g.pinned = &pinned
	return err
}

// ofTasks bounds each user of the container, who may be bound tighter already.
func (g *program) ofTasks(most int64) limit {
	least := uint64(most)
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &now) == nil {
		least = min(least, now.Max)
	}
	for _, l := range g.limits {
		if l.resource == unix.RLIMIT_NPROC {
			least = min(least, l.value.Max)
		}
	}
	return limit{unix.RLIMIT_NPROC, unix.Rlimit{Cur: least, Max: least}}
}

// boundTasks has the kernel hold all users of the container together to so many processes
// and threads. What it counts for that is the owner of U2, with all that is in U2, and in
// U1 the monitor and its helpers; what it holds them to is the limit of the process that
// makes U2 (Linux 5.14, kernel/ucount.c).
func (f first) boundTasks(p *firstproc.Program) {
	var now unix.Rlimit
	if f.tasks == 0 || unix.Getrlimit(unix.RLIMIT_NPROC, &now) != nil {
		return
	}
	now.Cur = min(uint64(f.tasks+helperTasks()), now.Max)
	p.Call("bound its processes", unix.SYS_PRLIMIT64, []uintptr{0, unix.RLIMIT_NPROC, firstproc.Pointer(p, &now), 0})
}

// helperTasks is more than the monitor and its helpers have of threads: a Go program has
// some more than processors.
func helperTasks() int64 { return 64 + 4*int64(runtime.NumCPU()) }
