package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/internal/stage"
)

// You come here from monitor.go, once the program runs. Next is end.go.

// live stays with the container until it has ended for good: one life of its
// program, or several where it is started again.
func (m *monitor) live() error {
	for {
		status := m.watch()
		failpoint.At("life reaped")
		again, wait := m.ended(status)
		failpoint.At("life ended")
		if !again {
			return m.finish(status)
		}
		m.unmount()
		failpoint.At("life rests")
		if !m.rest(wait) {
			return m.finish(status)
		}
		failpoint.At("life begins again")
		if err := m.rise(m.bringingUp()); err != nil {
			return m.abandon(err)
		}
		if wait == 0 { // by the user, and not by a policy
			m.happened("restart")
		}
	}
}

// watch stays until the program has ended, and returns its exit status as a
// shell would give it. Everything that is done to a running container is done
// here, on the one goroutine whose thread is its parent.
func (m *monitor) watch() int {
	ended := m.awaitEnd()
	network, ports := ends(m.net.driver), ends(m.net.ports)
	root, emulator := m.root.Done(), m.emulator.ended()
	quiet := time.NewTimer(m.streams.quietFor(awakeFor))
	defer quiet.Stop()
	for {
		select {
		case <-ended:
			status, _ := m.reap()
			return status
		case f := <-m.turns:
			f()
		case <-m.sessionEnds:
			_ = m.stop(ask{Verb: verbStop, Down: true})
		case <-m.ending.late():
			m.deliver(int(unix.SIGKILL))
			m.ending.timer = nil
		case <-m.health.fires():
			m.probe()
		case <-m.watching.fires():
			m.look()
		case err := <-root:
			m.doom, root = fmt.Errorf("the root file system is gone, and the container was killed: %w", err), nil
			m.deliver(int(unix.SIGKILL))
		case err := <-emulator:
			emulator = nil
			m.lostEmulator(err)
		case err, ok := <-network:
			if ok {
				m.lostNetwork(err)
			}
			network, ports = ends(m.net.driver), ends(m.net.ports)
		case err, ok := <-ports:
			if ok {
				m.lostPorts(err)
			}
			ports = ends(m.net.ports)
		case e := <-m.events:
			m.heard(e)
		case <-quiet.C:
			quiet.Reset(m.sleep())
		}
	}
}

// turn has the goroutine that the container belongs to call f, and waits until
// it has. It is for all others. False says that the container has ended instead.
func (m *monitor) turn(f func()) bool {
	done := make(chan struct{})
	select {
	case m.turns <- func() { defer close(done); f() }:
		<-done
		return true
	case <-m.over:
		return false
	}
}

// rest lets a restart wait, unless the user ends the container meanwhile.
func (m *monitor) rest(wait time.Duration) bool {
	over := time.NewTimer(wait)
	defer over.Stop()
	for !m.ending.asked {
		select {
		case <-over.C:
			return true
		case f := <-m.turns:
			f()
		case <-m.sessionEnds:
			_ = m.stop(ask{Verb: verbStop, Down: true})
		}
	}
	return m.ending.again
}

// openPidfd opens the descriptor by which the program is signalled and its end
// heard of, and returns the number that the program has on the host.
func (m *monitor) openPidfd() (int, error) {
	m.pidfdMu.Lock()
	defer m.pidfdMu.Unlock()
	var err error
	if m.pidfd, err = unix.PidfdOpen(m.pid, 0); err != nil {
		return 0, fmt.Errorf("pidfd_open: %w", err)
	}
	return pidInProc(m.pidfd)
}

// pidInProc is the number that the process of a descriptor has in /proc, which
// is the host's: the monitor is pid 1 of a namespace of its own, so that nothing
// outlives it. A parent death signal alone would not do: the container's program
// loses it when it changes its ids, as many do that start as root (prctl(2)).
func pidInProc(pidfd int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil {
		return 0, fmt.Errorf("find out the host's pid: %w", err)
	}
	_, after, _ := strings.Cut(string(text), "\nPid:")
	line, _, _ := strings.Cut(after, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("find out the host's pid: /proc/self/fdinfo says %q", line)
	}
	return pid, nil
}

// awaitEnd is closed once the program has ended; it is a zombie then.
func (m *monitor) awaitEnd() <-chan struct{} {
	ended := make(chan struct{})
	fd := m.pidfd
	go func() {
		defer close(ended)
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(poll, -1); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return ended
}

// reap waits for the first process, which is our child.
func (m *monitor) reap() (int, error) {
	status, err := collect(m.pid)
	m.pid = 0
	m.endMembers()
	m.closePidfd()
	if status.Signaled() {
		return codeSignal + int(status.Signal()), err
	}
	return status.ExitStatus(), err
}

// listen hears what the client says that has started us, until it goes away.
func (m *monitor) listen(conn *stage.Conn) {
	for {
		kind, payload, err := conn.Recv()
		if err != nil {
			// A client that dies before the container runs takes it along; later
			// the container lives on without it.
			m.abort(int(unix.SIGHUP))
			break
		}
		if kind == kindSignal && len(payload) == 1 && m.abort(int(payload[0])) {
			continue
		}
		if m.started.Load() {
			m.turn(func() {}) // it is attached once the program's life has begun
		}
		if m.first != nil {
			m.hear(m.first, kind, payload)
		}
	}
	if m.first != nil {
		m.audience.drop(m.first)
	}
	m.launcherGone.Store(true)
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
