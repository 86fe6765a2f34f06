package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
)

// You come here from monitor.go: a container ends, or never began.

// abandon ends a container that never ran. Before announce nothing of it
// stays; after, Docker keeps it as "created" with the error, and so do we.
func (m *monitor) abandon(err error) error {
	if m.container == nil {
		return err
	}
	m.unmount()
	_, specErr := os.Stat(filepath.Join(m.container.Dir, "spec.json"))
	if specErr != nil || m.Spec.Remove || m.ctx.Err() != nil {
		return errors.Join(err, m.remove())
	}
	m.state.Error, m.state.ExitCode = err.Error(), failureOf(err).Code
	_ = m.container.WriteState(m.state, true)
	return err
}

// finish records how the program ended, answers the client, and only then takes
// the container's things apart.
func (m *monitor) finish(status int) error {
	logErr := m.closeStreams()
	m.state.Status, m.state.PID = record.Exited, 0
	m.state.Finished, m.state.ExitCode = time.Now().UTC(), status
	if logErr != nil {
		m.state.Error = "log: " + logErr.Error()
	}
	lost := m.lostRoot.Load()
	if lost != nil {
		m.state.Error = fmt.Sprintf("the root file system is gone, and the container was killed: %v", *lost)
	}
	if m.Spec.Remove {
		gone, err := m.container.Vanish()
		if err != nil {
			return err
		}
		m.root.Path = filepath.Join(gone, filepath.Base(m.root.Path)) // it was mounted under the old name
		m.later(func() error { m.unmount(); return errors.Join(m.removeVolumes(), fuseoverlay.RemoveTree(gone)) })
	} else {
		if err := m.container.WriteState(m.state, true); err != nil {
			return err
		}
		m.later(func() error { m.unmount(); return nil })
	}
	if lost != nil {
		return &Failure{Message: m.state.Error, Code: status}
	}
	return m.conn.Send(kindExited, []byte{byte(status)})
}

// remove deletes a container that is not running, name first.
func (m *monitor) remove() error {
	gone, err := m.container.Vanish()
	if err != nil {
		return err
	}
	return errors.Join(m.removeVolumes(), fuseoverlay.RemoveTree(gone))
}

// unmount lets go of what serves the container. It never waits for slirp4netns,
// whose network namespace takes 40 ms to go.
func (m *monitor) unmount() {
	if m.helper != nil {
		m.helper.Stop()
		m.helper = nil
	}
	if m.root != nil {
		_ = m.root.Close()
		m.root = nil
	}
}
