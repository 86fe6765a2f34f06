package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
)

// You come here from main.go, when the sleeper of sleep.go has woken up. Next is
// life.go, where the monitor was before.

// Awake is the stage that the sleeper executes. Its argument is the number of the
// descriptor that the estate can be read from.
func Awake(args []string) int {
	e, err := inherit(args)
	if err != nil {
		return codeEngine
	}
	failpoint.At("sleep woken")
	m, err := revive(e)
	failpoint.At("sleep revived")
	if err != nil {
		return codeEngine
	}
	defer m.release()
	if err := m.live(); err != nil {
		return codeEngine
	}
	return 0
}

// inherit reads the estate and closes what it does not name.
func inherit(args []string) (estate, error) {
	var e estate
	if len(args) != 1 {
		return e, fmt.Errorf("%s is started by rootlet, not by hand", stage.Sleeper)
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return e, err
	}
	if err := linux.CloseOnExecFrom(3); err != nil {
		return e, err
	}
	will := os.NewFile(uintptr(fd), "estate")
	defer will.Close()
	text, err := io.ReadAll(io.NewSectionReader(will, 0, 1<<20))
	if err != nil {
		return e, err
	}
	// The sleeper has put a signal that it took behind the estate.
	read := json.NewDecoder(bytes.NewReader(text))
	if err := read.Decode(&e); err != nil {
		return e, err
	}
	e.sessionEnds = int(read.InputOffset()) < len(text)
	for _, fd := range []int{e.Epoll, e.Signals, e.Timer, e.Binary} {
		if fd > 0 {
			unix.Close(fd)
		}
	}
	return e, nil
}

// revive is the monitor that the estate is of.
func revive(e estate) (*monitor, error) {
	m := newMonitor()
	if e.sessionEnds {
		m.sessionEnds <- unix.SIGTERM
	}
	m.Request, m.state, m.pid, m.refused, m.delay, m.began, m.oomKillsBefore, m.held = e.Request, e.State, e.PID, e.Refused, e.Delay, e.Began, e.OOMs, e.Held
	m.hostPID = e.State.PID
	m.pidfd, m.mounted = e.PIDFD, true
	m.started.Store(true)
	m.launcherGone.Store(true)
	m.container = record.Root(m.Paths.Data).Adopt(e.ID, os.NewFile(uintptr(e.Lock), "lock"))
	m.later(m.container.Close)
	if e.Scratch > 0 {
		m.holdScratch(os.NewFile(uintptr(e.Scratch), "scratch"))
	}
	if err := m.mapIDs(); err != nil {
		return nil, err
	}
	m.cgroup = cgroup.Of(e.State, e.ID)
	var err error
	if m.root, err = fuseoverlay.Resume(e.Root); err != nil {
		return nil, err
	}
	if m.emulator, err = resumeEmulator(e.Emulator, e.State.Emulation); err != nil {
		return nil, err
	}
	if m.net.driver, err = resumeHelper(e.Driver); err != nil {
		return nil, err
	}
	if m.net.ports, err = resumeHelper(e.Ports); err != nil {
		return nil, err
	}
	for i, kept := range e.Members {
		end := e.State.Endpoints[i]
		m.net.members = append(m.net.members, &membership{Endpoint: end, place: bridge.Resume(end.Joined, kept.FD, m.events), routes: kept.Routes})
	}
	if m.log, err = logfile.Resume(m.container.Dir, m.Spec.Log, time.Now, e.Log); err != nil {
		return nil, err
	}
	m.streams = reviveStreams(e)
	m.streams.start(&m.audience, m.log)
	m.health.resume(m.Spec.Health, e.Probe)
	m.resumeWatching(e)
	socket := os.NewFile(uintptr(e.Socket), "socket")
	l, err := net.FileListener(socket)
	if err != nil {
		return nil, err
	}
	m.control = newControl(socket, l.(*net.UnixListener))
	go m.accept(m.control)
	return m, nil
}

func resumeHelper(k *slirp.Kept) (*slirp.Helper, error) {
	if k == nil {
		return nil, nil
	}
	return slirp.Resume(*k)
}

func reviveStreams(e estate) *streams {
	s := &streams{inside: [3]int{-1, -1, -1}, output: map[logfile.Stream]*os.File{}}
	s.last.Store(e.lastEvent(time.Now()).UnixNano())
	s.console = reopen(e.Console)
	if s.stdin = s.console; e.Stdin != e.Console {
		s.stdin = reopen(e.Stdin)
	}
	if e.Stdin < 0 {
		s.stdin = nil
	}
	for stream, fd := range e.Output {
		if fd == e.Console {
			s.output[stream] = s.console
		} else {
			s.output[stream] = reopen(fd)
		}
	}
	return s
}

// lastEvent is when something has happened last: that has woken the monitor, unless it
// was only time for a look.
func (e *estate) lastEvent(now time.Time) time.Time {
	if e.Look > 0 && e.Look == e.alarm() && sinceBoot() >= e.Look {
		return now.Add(-awakeFor)
	}
	return now
}

// reopen makes a file of a descriptor that was left open, non-blocking again.
func reopen(fd int) *os.File {
	if fd < 0 {
		return nil
	}
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "kept")
}
