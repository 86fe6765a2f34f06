package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
	"rootlet/sandbox/watch"
)

// You come here from life.go: the monitor looks after limits that the kernel does not
// hold for it (besteffort.go). How often depends on how near they are (package watch).

// watching is what the monitor remembers from one look to the next.
type watching struct {
	disk  *watch.Disk // nil: there is no limit
	guard *guard      // of its processes; nil: they have no limit

	measuring bool        // what is on the disk
	timer     *time.Timer // until the next look; nil while there is none
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
	return w.measuring || w.guard != nil || w.timer != nil && w.due-sinceBoot() < awakeFor/2
}

// killed reports whether something was killed for want of memory.
func (w *watching) killed() bool { return w.guard != nil && w.guard.killed.Load() }

// end lets go of everything.
func (w *watching) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.guard.end()
	*w = watching{}
}

// watchFor has these limits looked after, and none of those before; tasks bounds
// processes and threads, where it is not 0.
func (m *monitor) watchFor(disk, memory int64, tasks int) {
	killed := m.watching.killed()
	m.watching.end()
	w := &m.watching
	if disk > 0 {
		w.disk = &watch.Disk{Limit: disk}
	}
	if w.guard = m.newGuard(memory, tasks); w.guard != nil {
		w.guard.killed.Store(killed)
	}
	if m.pid != 0 {
		m.beginWatching()
	}
}

// beginWatching looks after a program that has just begun.
func (m *monitor) beginWatching() {
	w := &m.watching
	if w.guard != nil {
		w.guard.begin(m)
	}
	if w.guard != nil || w.disk != nil {
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
	if w.guard != nil {
		wait = maxLook
		if w.guard.stuck() {
			m.doomBy(w.guard, fmt.Errorf("killed: its processes cannot be looked at, and --%s and --%s bound them", record.LimitMemory, record.LimitPids))
		}
	}
	if w.disk != nil {
		wait = min(wait, m.lookAtDisk())
	}
	w.in(wait)
}

// lookAtDisk has the container's files measured where that is due, beside all that the
// monitor does, and says when to look again.
func (m *monitor) lookAtDisk() time.Duration {
	w := &m.watching
	now := sinceBoot()
	room, err := watch.RoomIn(fuseoverlay.WrittenTo(m.container.Dir))
	if err != nil || w.measuring || !w.disk.Due(now, room) {
		return w.disk.Wait(now)
	}
	w.measuring = true
	disk, dir, open := w.disk, m.container.Dir, m.lister()
	if m.state.RootDriver == fuseoverlay.FuseOverlayfs {
		open = nil // it gives what is unlinked another name while it is open
	}
	go func() {
		used, err := onDisk(dir, open)
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

// onDisk measures what a container has written to its root, whether it has a name for it
// still or not. open lists its processes; nil: they have nothing that has no name.
func onDisk(dir string, open func() (*watch.Processes, error)) (int64, error) {
	used, err := takenIn(dir)
	if open == nil {
		return used, err
	}
	processes, procErr := open()
	if procErr != nil {
		return used, err
	}
	defer processes.Close()
	return used + processes.Unlinked(), err
}

// takenIn is what the files have taken that a container has written to its root: those of
// the image's tree, and those of its own directory that it can write to.
func takenIn(dir string) (int64, error) {
	used, err := fuseoverlay.Taken(dir)
	for _, name := range generatedFiles {
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(dir, name), &st) == nil {
			used += st.Blocks * 512 // its unit, whatever the file system's
		}
	}
	return used, err
}

// processes are the container's.
func (m *monitor) processes() (*watch.Processes, error) { return m.lister()() }

// lister opens what lists the container's processes, for any goroutine to call.
func (m *monitor) lister() func() (*watch.Processes, error) {
	state, shared := m.state, m.state.UserNS != ""
	state.PID = m.hostPID
	return func() (*watch.Processes, error) {
		if !shared {
			if own, err := watch.Own(); err == nil {
				return own, nil
			}
		}
		return watch.Listed(func() ([]int, error) { return Processes(state) })
	}
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
