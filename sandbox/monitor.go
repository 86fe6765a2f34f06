package sandbox

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/identity"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
	"rootlet/slirp/bridge"
)

// You come here from run.go, which started this stage in U1, or from main.go,
// which dispatched to it. Next are prepare.go and launch.go, where the container
// begins, and life.go, where the monitor spends its life.

// monitor is a container's parent, in U1, for as long as the container lives.
// What it is belongs to the goroutine of the process's first thread; others hand
// it their wishes over turns, unless a field says otherwise.
type monitor struct {
	Request
	launcher *stage.Conn // the client that started us; nil once it is gone
	first    *attached   // it, where it is attached
	// launcherGone says that it has gone away, or that there was none.
	launcherGone atomic.Bool

	// ctx ends when the user gives up before the container runs; giveUp then
	// holds the signal.
	ctx     context.Context
	giveUp  context.CancelFunc
	signal  atomic.Int32
	beginMu sync.Mutex  // held while started or giveUp is decided on
	started atomic.Bool // the program runs

	turns chan func()
	over  chan struct{} // closed once nobody takes turns any more
	// sessionEnds delivers the SIGTERM that ends the user's session.
	sessionEnds chan os.Signal
	control     *control
	audience    audience

	uids, gids idMap
	store      *fuseoverlay.Store
	image      *fuseoverlay.Image
	// letImagesGo ends a lock: until the container is listed nobody else can see
	// that it needs its image.
	letImagesGo func()
	container   *record.Container
	scratch     *os.File // locked, where layers are in one
	gone        string   // the container's directory, once it is to be removed
	state       record.State
	who         identity.Identity
	root        *fuseoverlay.Root
	net         connection
	emulator    *emulator // nil: there is no root emulation, or none that remembers
	shared      shared
	refused     uintptr                  // CLONE_NEW flags of what the host gives no container
	events      chan bridge.Event        // of the networks with a name
	volumes     map[string]*volume.Lease // by name, until the container is listed
	mounted     bool                     // the volumes
	streams     *streams
	log         *logfile.Writer
	process     *firstproc.Process
	pid         int          // of the program, a child of ours; 0 before and after its life
	hostPID     int          // the same, as the host numbers it, and so /proc
	cgroup      cgroup.Group // nil where this host gives none

	oomKillsBefore int
	held           []int // processes that pause has stopped
	ending         ending
	delay          time.Duration // before the last restart
	began          time.Duration // this life of the program, by sinceBoot
	health         health
	watching       watching
	doom           error // why the container was killed by its monitor, not to be started again

	pidfdMu sync.Mutex
	pidfd   int // of the program, for any goroutine; -1 before and after its life

	cleanup []func() error // newest last
}

// Monitor is the stage. It returns the process's exit status, which nobody
// reads: what happened goes to the client as a frame. The caller has locked the
// goroutine to the process's first thread, which lives as long as the process;
// the container's life is tied to that thread (prctl(2), PR_SET_PDEATHSIG).
func Monitor() int {
	conn, err := stage.Inherited()
	if err != nil {
		return codeEngine
	}
	// What the user's shell left open is nobody's business below.
	if err := linux.CloseOnExecFrom(3); err != nil {
		return codeEngine
	}
	m := newMonitor()
	m.launcher = conn
	if err := conn.RecvJSON(kindRequest, &m.Request); err != nil {
		return codeEngine // the client went away before it asked for anything
	}
	go m.listen(conn)
	if err := m.run(); err != nil {
		f := failureOf(err)
		f.NameDisk(err, m.Paths)
		_ = conn.SendJSON(kindFailed, f)
		return codeEngine
	}
	return 0
}

func newMonitor() *monitor {
	m := &monitor{
		pidfd: -1, turns: make(chan func()), over: make(chan struct{}), sessionEnds: make(chan os.Signal, 1), events: make(chan bridge.Event, maxEvents),
	}
	m.ctx, m.giveUp = context.WithCancel(context.Background())
	// systemd sends both to all that a session has left when it ends, or the host
	// goes down. The program gets them, too.
	signal.Notify(m.sessionEnds, unix.SIGTERM)
	signal.Ignore(unix.SIGHUP)
	return m
}

// run takes the container from its beginning to its end. Whatever happens, all
// that was acquired is released, the newest first.
func (m *monitor) run() error {
	defer m.release()
	if m.NoPIDs {
		m.refused = unix.CLONE_NEWPID
	}
	if err := m.take(m.beginning()); err != nil {
		return m.abandon(err)
	}
	if m.CreateOnly {
		failpoint.At("monitor created")
		m.unmount()
		return m.launcher.Send(kindDone, nil)
	}
	if err := m.rise(append([]step{m.openSocket}, m.bringingUp()...)); err != nil {
		return m.abandon(err)
	}
	return m.live()
}

type step = func() error

// beginning is what happens once: a container is made, or one that is there taken.
func (m *monitor) beginning() []step {
	if m.Start != "" {
		return []step{m.open, m.enter}
	}
	return []step{m.enter, m.openStore, m.findImage, m.create, m.takeIDs, m.shareNamespaces, m.chooseNetwork, m.callNetwork, m.chooseEmulation, m.mountRoot, m.assemble, m.announce}
}

// bringingUp leads to a program that runs, the first time and at every restart.
// A container that was just made has its root already.
func (m *monitor) bringingUp() []step {
	if m.root != nil {
		return []step{m.checkDisk, m.openStreams, m.launch}
	}
	return []step{m.openStore, m.findOwnImage, m.shareNamespaces, m.chooseNetwork, m.callNetwork, m.chooseEmulation, m.mountRoot, m.checkDisk, m.assemble, m.openStreams, m.launch}
}

// take takes steps until one fails or the user gives up.
func (m *monitor) take(steps []step) error {
	for _, step := range steps {
		if err := m.interrupted(); err != nil {
			return err
		}
		failpoint.Before(step)
		if err := step(); err != nil {
			if gaveUp := m.interrupted(); gaveUp != nil {
				return gaveUp
			}
			return err
		}
	}
	return nil
}

// later has f called at the end, before all that was acquired earlier.
func (m *monitor) later(f func() error) { m.cleanup = append(m.cleanup, f) }

// release runs when the client has its answer already: nothing here is on the
// user's time, and an error here has no one left to tell.
func (m *monitor) release() {
	close(m.over)
	for i := len(m.cleanup) - 1; i >= 0; i-- {
		failpoint.At("monitor releases")
		_ = m.cleanup[i]()
	}
	if m.gone != "" {
		// What was open until now has left a name on NFS and FUSE (".nfs...", ".fuse_hidden...").
		_ = removeFiles(m.gone)
	}
	// The container is history; a client that is stopped may hear of it late.
	m.audience.wait()
}

// interrupted is the error of a user who gave up, nil as long as he has not.
func (m *monitor) interrupted() error {
	if m.ctx.Err() == nil {
		return nil
	}
	return errInterrupted(int(m.signal.Load()))
}
