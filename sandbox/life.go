package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
)

// You come here from launch.go, once the program runs. Next is end.go.

// wait stays until the program has ended, and returns its exit status as a
// shell would give it.
func (m *monitor) wait() int {
	stop := make(chan struct{})
	defer close(stop)
	go m.watchHelpers(stop)
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(m.process.PID, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		break
	}
	m.closePidfd()
	if status.Signaled() {
		return codeSignal + int(status.Signal())
	}
	return status.ExitStatus()
}

// watchHelpers ends a container whose root is gone; one that has lost its
// network lives on.
func (m *monitor) watchHelpers(stop chan struct{}) {
	var network <-chan error
	if m.helper != nil {
		network = m.helper.Done()
	}
	root := m.root.Done()
	for {
		select {
		case <-stop:
			return
		case err := <-root:
			m.lostRoot.Store(&err)
			m.deliver(int(unix.SIGKILL))
			root = nil
		case err, ok := <-network:
			if ok {
				m.notice(fmt.Sprintf("the network is gone: %v", err))
			}
			network = nil
		}
	}
}

// listen hears what the client says, until it goes away.
func (m *monitor) listen() {
	for {
		kind, payload, err := m.conn.Recv()
		if err != nil {
			// A client that dies before the container runs takes it along; later
			// the container lives on without it.
			m.abort(int(unix.SIGHUP))
			return
		}
		switch kind {
		case kindResize:
			m.resize(payload)
		case kindSignal:
			if len(payload) == 1 {
				m.heard(int(payload[0]))
			}
		case kindUnread:
			if len(payload) == 1 && m.started.Load() {
				m.streams.closeOutput(stage.Kind(payload[0]))
			}
		}
	}
}

// heard handles a signal that the client got.
func (m *monitor) heard(n int) {
	if !m.abort(n) {
		m.deliver(n)
	}
}

// abort gives up a container that does not run yet, where the signal means that;
// false says that its program runs.
func (m *monitor) abort(n int) bool {
	m.beginMu.Lock()
	defer m.beginMu.Unlock()
	if m.started.Load() {
		return false
	}
	if EndsWork(unix.Signal(n)) {
		m.signal.CompareAndSwap(0, int32(n))
		m.giveUp()
	}
	return true
}

// deliver signals the program, and nobody else: the descriptor stands for that
// one process even after it is gone (pidfd_send_signal(2), Linux 5.1).
func (m *monitor) deliver(n int) {
	m.pidfdMu.Lock()
	defer m.pidfdMu.Unlock()
	if m.pidfd >= 0 {
		_ = unix.PidfdSendSignal(m.pidfd, unix.Signal(n), nil, 0)
	}
}

func (m *monitor) closePidfd() {
	m.pidfdMu.Lock()
	defer m.pidfdMu.Unlock()
	if m.pidfd >= 0 {
		unix.Close(m.pidfd)
		m.pidfd = -1
	}
}
