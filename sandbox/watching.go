package sandbox

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/sandbox/watch"
)

// You come here from life.go: the monitor looks after limits that the kernel does not
// hold for it (besteffort.go). How often depends on how near they are (package watch).

// watching is what the monitor remembers from one look to the next.
type watching struct {
	disk   *watch.Disk   // nil: there is no limit
	memory *watch.Memory // likewise
	tasks  int           // processes and threads; 0: no limit

	processes *watch.Processes // for memory and tasks; nil: not looked at yet
	files     []*os.File       // of the memory's file systems
	killed    bool             // processes, for want of memory
	measuring bool             // what is on the disk
	timer     *time.Timer      // until the next look; nil while there is none
	due       time.Duration
}

// fires is when to look; nil, which blocks, while there is nothing to look after.
func (w *watching) fires() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

// in sets the timer for the next look.
func (w *watching) in(d time.Duration) {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timer, w.due = time.NewTimer(d), sinceBoot()+d
}

// alarm is when the monitor has to wake up for the next look; 0: never.
func (w *watching) alarm() time.Duration {
	if w.timer == nil {
		return 0
	}
	return w.due
}

// keepsAwake reports whether the next look is so near that a sleep until then would cost
// more than it saves.
func (w *watching) keepsAwake() bool {
	return w.measuring || w.memory != nil || w.tasks > 0 || w.timer != nil && w.due-sinceBoot() < awakeFor/2
}

// end lets go of everything.
func (w *watching) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.processes != nil {
		_ = w.processes.Close()
	}
	for _, f := range w.files {
		_ = f.Close()
	}
	*w = watching{}
}

// watchFor has these limits looked after, and none of those before.
func (m *monitor) watchFor(l record.Limits) {
	killed := m.watching.killed
	m.watching.end()
	w := &m.watching
	w.killed = killed
	if l.Disk > 0 {
		w.disk = &watch.Disk{Limit: l.Disk}
	}
	if l.Memory > 0 {
		w.memory = &watch.Memory{Limit: l.Memory}
		w.files = m.memoryFiles()
		for _, f := range w.files {
			w.memory.Tmpfs = append(w.memory.Tmpfs, int(f.Fd()))
		}
	}
	if m.pid != 0 {
		w.in(0)
	}
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

// beginWatching looks after a program that has just begun.
func (m *monitor) beginWatching() {
	w := &m.watching
	w.killed = false
	if w.disk != nil || w.memory != nil || w.tasks > 0 {
		w.in(0)
	}
}

// resumeWatching goes on after a sleep.
func (m *monitor) resumeWatching(e estate) {
	m.watching.disk = e.Disk
	if e.Look > 0 {
		m.watching.in(max(e.Look-sinceBoot(), 0))
	}
}

// look is one look.
func (m *monitor) look() {
	w := &m.watching
	wait := longestWait
	if w.disk != nil {
		wait = min(wait, m.lookAtDisk())
	}
	if w.memory != nil || w.tasks > 0 {
		wait = min(wait, m.lookAtProcesses())
	}
	w.in(wait)
}

// lookAtProcesses looks at what they take, and kills where that is too much. It says when
// to look again.
func (m *monitor) lookAtProcesses() time.Duration {
	w := &m.watching
	const afterFailure = 100 * time.Millisecond
	if w.processes == nil {
		var err error
		if w.processes, err = m.processes(); err != nil {
			return afterFailure
		}
	}
	wait := longestWait
	if w.tasks > 0 {
		n, err := w.processes.Tasks(w.tasks)
		if err == nil && n > w.tasks {
			m.doom = fmt.Errorf("killed: it has more processes and threads than the %d that --%s allows", w.tasks, record.LimitPids)
			m.deliver(int(unix.SIGKILL))
		}
		wait = watch.TasksWait(n, w.tasks)
	}
	if w.memory == nil {
		return wait
	}
	verdict, err := w.memory.Look(w.processes, sinceBoot())
	if err != nil {
		return afterFailure
	}
	m.endForMemory(verdict)
	return min(wait, w.memory.Wait(sinceBoot()))
}

// endForMemory kills, as the kernel does where a control group has no memory left.
func (m *monitor) endForMemory(v watch.Verdict) {
	if !v.All && len(v.Kill) == 0 {
		return
	}
	m.watching.killed = true
	m.notice(fmt.Sprintf("it takes %s of memory, and --memory allows %s: the largest of its processes are killed",
		units.BytesSize(float64(m.watching.memory.Estimate())), units.BytesSize(float64(m.watching.memory.Limit))))
	if v.All {
		m.deliver(int(unix.SIGKILL))
	}
	for _, process := range v.Kill {
		_ = m.watching.processes.Kill(process)
	}
	m.noteOOM()
	m.writeState(false)
}

// lookAtDisk has the container's files measured where that is due, beside all that the
// monitor does, and says when to look again.
func (m *monitor) lookAtDisk() time.Duration {
	w := &m.watching
	now := sinceBoot()
	room, err := watch.RoomIn(m.container.Dir)
	if err != nil || w.measuring || !w.disk.Due(now, room) {
		return w.disk.Wait(now)
	}
	w.measuring = true
	disk := w.disk
	go func() {
		used, err := m.onDisk()
		took := sinceBoot() - now
		m.turn(func() {
			if w.disk == disk { // the same life, and the same limit
				w.measuring = false
				disk.Measured(now, took, room, used)
				m.measured(disk, err)
			}
		})
	}()
	return w.disk.Wait(now)
}

// onDisk measures what the container has written to its root, whether it has a name for
// it still or not.
func (m *monitor) onDisk() (int64, error) {
	used, err := fuseoverlay.Taken(m.container.Dir)
	processes, procErr := m.processes()
	if procErr != nil {
		return used, err
	}
	defer processes.Close()
	return used + processes.Unlinked(), err
}

// processes are the container's.
func (m *monitor) processes() (*watch.Processes, error) {
	if !m.sharesPIDs() {
		if own, err := watch.Own(); err == nil {
			return own, nil
		}
	}
	state := m.state
	state.PID = m.hostPID
	return watch.Listed(func() ([]int, error) { return Processes(state) })
}

// measured kills a container that has written too much: nothing less ends its writing
// that it could not undo.
func (m *monitor) measured(disk *watch.Disk, err error) {
	if disk.Used <= disk.Limit && !errors.Is(err, fuseoverlay.ErrTooDeep) {
		m.watching.in(min(disk.Wait(sinceBoot()), max(m.watching.due-sinceBoot(), 0)))
		return
	}
	m.doom = fmt.Errorf("killed: %w", overDisk(disk.Used, disk.Limit, err))
	m.happened("quota", "used", fmt.Sprint(disk.Used), "size", fmt.Sprint(disk.Limit))
	m.deliver(int(unix.SIGKILL))
}

func overDisk(used, limit int64, err error) error {
	if errors.Is(err, fuseoverlay.ErrTooDeep) {
		return fmt.Errorf("what it has written cannot be measured, and --storage-opt size= bounds it: %w", err)
	}
	return fmt.Errorf("its files take %s of the disk, and --storage-opt size= allows %s", units.BytesSize(float64(used)), units.BytesSize(float64(limit)))
}

// checkDisk refuses to start a container that has written too much already.
func (m *monitor) checkDisk() error {
	limit := m.Spec.Limits.Disk
	if limit == 0 {
		return nil
	}
	used, err := fuseoverlay.Taken(m.container.Dir)
	if errors.Is(err, fuseoverlay.ErrTooDeep) || err == nil && used > limit {
		return &Failure{
			Code: codeEngine, Message: overDisk(used, limit, err).Error(),
			Fix: fmt.Sprintf("`rootlet diff %s` names its files, `rootlet cp` gets them out; `rootlet commit` makes an image of it, to run with a larger size", m.Spec.Name),
		}
	}
	return err
}
