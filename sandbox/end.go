package sandbox

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/record"
)

// You come here from monitor.go or life.go: a container ends, or never began.

// abandon ends a container that did not come to run. Before announce nothing of
// it stays; after, Docker keeps it with the error, and so do we.
func (m *monitor) abandon(err error) error {
	if m.container == nil {
		return err
	}
	failpoint.At("end abandons")
	m.unmount()
	failpoint.At("end unmounted")
	_, specErr := os.Stat(filepath.Join(m.container.Dir, "spec.json"))
	if specErr != nil || m.Spec.Remove || m.ctx.Err() != nil && m.Start == "" {
		return errors.Join(err, m.remove())
	}
	if m.state.Status != record.Created {
		m.state.Status = record.Exited
	}
	m.state.PID, m.state.Error, m.state.ExitCode = 0, err.Error(), failureOf(err).Code
	m.writeState(true)
	return err
}

// noteEnd closes what the program wrote to and fills in how it has ended.
func (m *monitor) noteEnd(status int) {
	m.audience.hurry()
	logErr := m.closeStreams()
	failpoint.At("end log closed")
	m.state.Cgroup, m.state.Cgroups = "", nil // they go with this life
	m.state.PID, m.state.PausedBy, m.state.Finished, m.state.ExitCode = 0, "", time.Now().UTC(), status
	if m.state.Error == "" && logErr != nil {
		m.state.Error = "log: " + logErr.Error()
	}
	if m.wasOOMKilled(status) {
		m.noteOOM()
	}
	m.endHealth()
	m.watching.end()
	m.happened("die", "exitCode", strconv.Itoa(status),
		"execDuration", strconv.Itoa(int(m.age().Seconds())))
}

// noteOOM tells that something was killed for want of memory, the first time in a life.
func (m *monitor) noteOOM() {
	if !m.state.OOMKilled {
		m.state.OOMKilled = true
		m.happened("oom")
	}
}

// finish records that the program has ended for good, answers the clients, and
// only then takes the container's things apart.
func (m *monitor) finish(status int) error {
	m.state.Status = record.Exited
	if m.doom != nil {
		m.state.Error = m.doom.Error()
	}
	failpoint.At("end finishes")
	m.leaveNetworks() // who knows of the end may have its addresses
	if m.Spec.Remove {
		gone, err := m.vanish()
		failpoint.At("end vanished")
		if err != nil {
			return err
		}
		if m.root != nil {
			m.root.Path = filepath.Join(gone, filepath.Base(m.root.Path)) // it was mounted under the old name
		}
		m.gone = gone
		m.later(func() error { m.unmount(); return errors.Join(m.removeVolumes(), removeFiles(gone)) })
		m.happened("destroy")
	} else {
		m.writeState(true)
		failpoint.At("end recorded")
		m.later(func() error { m.unmount(); return nil })
	}
	m.closeSocket() // last: who finds no socket finds the state that says why
	failpoint.At("end socket closed")
	if m.doom != nil {
		text, _ := json.Marshal(Failure{Message: m.state.Error, Code: status}) // plain fields: it cannot fail
		m.audience.dismiss(kindFailed, text)
		return nil
	}
	m.audience.dismiss(kindExited, []byte{byte(status)})
	failpoint.At("end told")
	return nil
}

// removeFiles deletes a container's directory. A sweep may be at it, too, once the
// lock in it is gone.
func removeFiles(dir string) error {
	if err := fuseoverlay.RemoveOwn(dir); err != nil {
		return err
	}
	for {
		if err := fuseoverlay.RemoveTree(dir); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// writeState tells everybody how the container is; that the disk is full is no
// reason to end it.
func (m *monitor) writeState(durable bool) {
	if err := m.container.WriteState(m.state, durable); err != nil {
		m.notice("state: " + err.Error())
	}
}

// vanish hides the container, and frees its name: from here on nothing of it is
// to stay, whatever becomes of us.
func (m *monitor) vanish() (string, error) {
	if err := m.tieVolumes(); err != nil {
		return "", err
	}
	return m.container.Vanish()
}

// remove deletes a container that is not running, name first.
func (m *monitor) remove() error {
	gone, err := m.vanish()
	if err != nil {
		return err
	}
	failpoint.At("end removes volumes")
	err = m.removeVolumes()
	failpoint.At("end removes files")
	removed := removeFiles(gone)
	if errors.Is(removed, unix.ENOTEMPTY) || errors.Is(removed, unix.EBUSY) {
		// The lock's file has a name on NFS and FUSE as long as it is open; NFS does not
		// even let that name be removed.
		_ = m.container.Close()
		removed = removeFiles(gone)
	}
	return errors.Join(err, removed)
}

// unmount lets go of what serves one life of the program.
func (m *monitor) unmount() {
	m.disconnect()
	m.emulator.stop()
	m.emulator = nil
	if m.streams != nil {
		m.streams.closeInside()
	}
	_ = m.closeVolumes()
	failpoint.At("end unmounts")
	if m.root != nil {
		_ = m.root.Close()
		m.root = nil
	}
	if m.cgroup != nil {
		m.cgroup.Remove()
		m.cgroup = nil
	}
}

// wasOOMKilled reports whether the kernel has killed a process of the container for
// want of memory. Where no cgroup of its own counts that, the machine's count of such
// kills is all there is to go by: the program was killed, it has risen since that began,
// and nobody of ours has sent that signal.
func (m *monitor) wasOOMKilled(status int) bool {
	if m.watching.killed() {
		return true
	}
	if m.cgroup != nil {
		if n, counted := m.cgroup.OOMKills(); counted {
			return n > 0
		}
	}
	if status != codeSignal+int(unix.SIGKILL) || m.ending.asked {
		return false
	}
	return oomKills() > m.oomKillsBefore
}

// oomKills counts the processes that this machine's kernel has killed for want of
// memory since it booted (Linux 4.13).
func oomKills() int {
	text, _ := os.ReadFile("/proc/vmstat")
	return cgroup.CountOf(string(text), "oom_kill")
}
