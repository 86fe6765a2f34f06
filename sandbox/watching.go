package sandbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/watch"
)

// You come here from life.go: the monitor looks after limits that the kernel does not
// hold for it. How often depends on how near they are (package watch).

// watching is what the monitor remembers from one look to the next.
type watching struct {
	disk  *watch.Disk // nil: there is no limit
	busy  bool        // files are being measured
	timer *time.Timer // until the next look; nil while there is none
	due   time.Duration
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
	return w.busy || w.timer != nil && w.due-sinceBoot() < awakeFor/2
}

func (w *watching) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	*w = watching{}
}

// beginWatching looks after a program that has just begun.
func (m *monitor) beginWatching() {
	m.watching.end()
	if size := m.Spec.Limits.Disk; size > 0 {
		m.watching.disk = &watch.Disk{Limit: size}
		m.watching.in(0)
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
	w.timer = nil
	now := sinceBoot()
	room, err := watch.RoomIn(m.container.Dir)
	if err != nil || !w.disk.Due(now, room) {
		w.in(w.disk.Wait())
		return
	}
	w.busy = true
	life := m.state.Started
	go func() {
		used, err := m.onDisk()
		took := sinceBoot() - now
		m.turn(func() {
			if m.state.Started.Equal(life) && w.disk != nil {
				w.busy = false
				w.disk.Measured(now, took, room, used)
				m.measured(used, err)
			}
		})
	}()
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
	return watch.Listed(func() ([]int, error) { return Processes(state) })
}

// measured kills a container that has written too much: nothing else ends its writing
// that it could not undo.
func (m *monitor) measured(used int64, err error) {
	disk := m.watching.disk
	if used <= disk.Limit && !errors.Is(err, fuseoverlay.ErrTooDeep) {
		m.watching.in(disk.Wait())
		return
	}
	m.doom = fmt.Errorf("killed: %w", overDisk(used, disk.Limit, err))
	m.happened("quota", "used", fmt.Sprint(used), "size", fmt.Sprint(disk.Limit))
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
