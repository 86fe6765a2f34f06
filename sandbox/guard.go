package sandbox

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/sandbox/watch"
)

// You come here from watching.go. guard looks at a container's processes: at their memory,
// and at their number. It does so beside all that the monitor does: a program can make
// what the kernel says of it a long time in coming.
type guard struct {
	memory *watch.Memory // nil: there is no limit
	tasks  int           // processes and threads; 0: no limit
	open   func() (*watch.Processes, error)
	files  []*os.File // of memory.Tmpfs

	begun  bool
	stop   chan struct{}
	looks  atomic.Int64 // how many have ended
	killed atomic.Bool  // processes, for want of memory

	// What stuck remembers.
	checked time.Duration
	seen    int64
	missed  int
}

// maxLook is how long a look may take.
const maxLook = 10 * time.Second

// newGuard is for the limits that its processes are to be held to; nil: there are none.
func (m *monitor) newGuard(memory int64, tasks int) *guard {
	if memory <= 0 && tasks <= 0 {
		return nil
	}
	g := &guard{tasks: tasks, stop: make(chan struct{})}
	if memory > 0 {
		g.memory, g.files = &watch.Memory{Limit: memory}, m.memoryFiles()
		for _, f := range g.files {
			g.memory.Tmpfs = append(g.memory.Tmpfs, int(f.Fd()))
		}
	}
	return g
}

// memoryFiles are the mount points of what the container has mounted from the beginning
// and keeps its files in memory.
func (m *monitor) memoryFiles() []*os.File {
	root, err := rootfs.OpenRoot(m.root.Path)
	if err != nil {
		return nil
	}
	defer root.Close()
	targets := []string{"/dev", "/dev/shm"}
	for _, mount := range m.Spec.Mounts {
		if mount.Type == record.Tmpfs {
			targets = append(targets, mount.Target)
		}
	}
	var files []*os.File
	for _, target := range targets {
		if f, err := rootfs.Find(root, target); err == nil {
			files = append(files, f)
		}
	}
	return files
}

// begin has it look until it is told to end.
func (g *guard) begin(m *monitor) {
	g.begun, g.open, g.checked = true, m.lister(), sinceBoot()
	go g.run(m)
}

// end has it look no more.
func (g *guard) end() {
	if g == nil {
		return
	}
	close(g.stop)
	if !g.begun {
		g.closeFiles()
	}
}

func (g *guard) closeFiles() {
	for _, f := range g.files {
		_ = f.Close()
	}
}

func (g *guard) run(m *monitor) {
	defer g.closeFiles()
	processes, err := g.open()
	if err != nil {
		return // which stuck finds out
	}
	defer processes.Close()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-next.C:
			next.Reset(g.look(m, processes))
		}
	}
}

// look is one look. It kills where there is too much of something, and says when to look
// again.
func (g *guard) look(m *monitor, processes *watch.Processes) time.Duration {
	wait := maxLook / 2
	if g.tasks > 0 {
		n, err := processes.Tasks(g.tasks)
		if err != nil {
			return wait
		}
		if n > g.tasks {
			go m.turn(func() {
				m.doomBy(g, fmt.Errorf("killed: it has more processes and threads than the %d that --%s allows", g.tasks, record.LimitPids))
			})
		}
		wait = watch.TasksWait(n, g.tasks)
	}
	if g.memory != nil {
		verdict, err := g.memory.Look(processes, sinceBoot())
		if err != nil {
			return wait
		}
		g.act(m, processes, verdict)
		wait = min(wait, g.memory.Wait(sinceBoot()))
	}
	g.looks.Add(1)
	return wait
}

// act kills, as the kernel does where a control group has no memory left.
func (g *guard) act(m *monitor, processes *watch.Processes, v watch.Verdict) {
	if !v.All && len(v.Kill) == 0 {
		return
	}
	g.killed.Store(true) // before anybody can hear of an end
	if v.All {
		m.deliver(int(unix.SIGKILL))
	}
	for _, process := range v.Kill {
		_ = processes.Kill(process)
	}
	said := fmt.Sprintf("it takes at least %s of memory, and --%s allows %s: the largest of its processes are killed",
		units.BytesSize(float64(g.memory.Estimate())), record.LimitMemory, units.BytesSize(float64(g.memory.Limit)))
	go m.turn(func() {
		if m.watching.guard == g {
			m.notice(said)
			m.noteOOM()
			m.writeState(false)
		}
	})
}

// stuck reports whether it cannot look: twice in a row no look has ended for as long as
// one may take. Once is nothing: the whole host may have been suspended.
func (g *guard) stuck() bool {
	now := sinceBoot()
	if now-g.checked < maxLook {
		return false
	}
	looks := g.looks.Load()
	if g.missed++; looks != g.seen {
		g.missed = 0
	}
	g.checked, g.seen = now, looks
	return g.missed > 1
}

// doomBy kills the container for good, if it is still the one that g looks at.
func (m *monitor) doomBy(g *guard, why error) {
	if m.watching.guard == g && m.doom == nil {
		m.doom = why
		m.deliver(int(unix.SIGKILL))
	}
}
