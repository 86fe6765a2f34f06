package sandbox

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/identity"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/sandbox/volume"
	"rootlet/slirp"
	"rootlet/userns"
)

// You come here from run.go, which started this stage in U1, or from main.go,
// which dispatched to it. Next is launch.go, where the first process begins.

// monitor is a container's parent, in U1, for as long as the container lives.
type monitor struct {
	Request
	conn *stage.Conn

	// ctx ends when the user gives up before the container runs; giveUp then
	// holds the signal.
	ctx     context.Context
	giveUp  context.CancelFunc
	signal  atomic.Int32
	beginMu sync.Mutex  // held while started or giveUp is decided on
	started atomic.Bool // the program runs

	uids, gids idMap
	store      *fuseoverlay.Store
	image      *fuseoverlay.Image
	container  *record.Container
	state      record.State
	who        identity.Identity
	root       *fuseoverlay.Root
	helper     *slirp.Helper
	volumes    map[string]*volume.Lease // by name
	streams    *streams
	log        *logfile.Writer
	process    *firstproc.Process
	lostRoot   atomic.Pointer[error] // why the root file system went away under the container

	pidfdMu sync.Mutex
	pidfd   int // of the program; -1 before and after its life

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
	m := &monitor{conn: conn, pidfd: -1}
	if err := conn.RecvJSON(kindRequest, &m.Request); err != nil {
		return codeEngine // the client went away before it asked for anything
	}
	m.ctx, m.giveUp = context.WithCancel(context.Background())
	go m.listen()
	if err := m.run(); err != nil {
		_ = conn.SendJSON(kindFailed, failureOf(err))
		return codeEngine
	}
	return 0
}

// run takes the container through its life. Whatever happens, all that was
// acquired is released, the newest first.
func (m *monitor) run() error {
	defer m.release()
	for _, step := range []func() error{
		m.enter, m.findImage, m.create, m.mountRoot, m.assemble, m.announce, m.launch,
	} {
		if err := m.interrupted(); err != nil {
			return m.abandon(err)
		}
		if err := step(); err != nil {
			if gaveUp := m.interrupted(); gaveUp != nil {
				err = gaveUp
			}
			return m.abandon(err)
		}
	}
	return m.finish(m.wait())
}

// later has f called at the end, before all that was acquired earlier.
func (m *monitor) later(f func() error) { m.cleanup = append(m.cleanup, f) }

// release runs when the client has its answer already: nothing here is on the
// user's time, and an error here has no one left to tell.
func (m *monitor) release() {
	for i := len(m.cleanup) - 1; i >= 0; i-- {
		_ = m.cleanup[i]()
	}
}

// interrupted is the error of a user who gave up, nil as long as he has not.
func (m *monitor) interrupted() error {
	if m.ctx.Err() == nil {
		return nil
	}
	return errInterrupted(int(m.signal.Load()))
}

// enter makes U1's mount namespace our own: mounts of the host's still arrive,
// ours never leave.
func (m *monitor) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return userns.Diagnose(fmt.Errorf("separate our mounts from the host's: %w", err))
	}
	// A directory of the user's must not be kept busy for the container's life.
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	uids, gids, err := userns.CurrentMaps()
	if err != nil {
		return err
	}
	m.uids, m.gids = sameIDs(uids), sameIDs(gids)
	if m.Spec.KeepID {
		m.uids, m.gids = keepIDs(uids, uint32(m.Host.UID)), keepIDs(gids, uint32(m.Host.GID))
	}
	return nil
}

// findImage opens the store and completes the spec.
func (m *monitor) findImage() error {
	var err error
	if m.store, err = fuseoverlay.Open(StoreConfig(m.Paths, m.Spec.StorageDriver)); err != nil {
		return err
	}
	m.later(m.store.Close)
	if m.image, err = m.store.Image(m.ImageName); err != nil {
		return err
	}
	m.Spec.ImageID = m.image.ID
	return m.resolve(m.image.Config)
}

// StoreConfig says where the store of a user is.
func StoreConfig(p Paths, driver string) fuseoverlay.Config {
	return fuseoverlay.Config{
		GraphRoot: filepath.Join(p.Data, "storage"),
		RunRoot:   filepath.Join(p.Runtime, "storage"),
		Driver:    driver,
	}
}

// create takes an id, a lock and a name.
func (m *monitor) create() error {
	c, err := record.Root(m.Paths.Data).Create(m.Spec.Name)
	if err != nil {
		return err
	}
	m.container = c
	m.later(c.Close)
	s := &m.Spec
	s.Version, s.ID, s.Name, s.Created = record.Version, c.ID, c.Name, time.Now().UTC()
	if s.Hostname == "" {
		s.Hostname = c.ID[:12]
	}
	m.state = record.State{Status: record.Created, IDMode: m.Host.IDMode}
	return nil
}

// mountRoot mounts the image with a layer of the container's own on top.
func (m *monitor) mountRoot() error {
	o := fuseoverlay.MountOptions{Dir: m.container.Dir, Volatile: m.Spec.Remove, Progress: m.copyProgress()}
	if m.uids.shifts() || m.gids.shifts() {
		o.UIDs, o.GIDs = m.uids.shown(), m.gids.shown()
	}
	var err error
	if m.root, err = m.store.Mount(m.image, o); err != nil {
		return err
	}
	m.state.RootDriver = m.root.Driver
	return nil
}

// copyProgress tells the user, once a second, how far a copy of the image is;
// only the copy driver makes one.
func (m *monitor) copyProgress() func(done, total int64) {
	last := time.Now()
	return func(done, total int64) {
		if now := time.Now(); total > 0 && now.Sub(last) > time.Second {
			last = now
			m.notice(fmt.Sprintf("copying the image: %d of %d MB", done/1e6, total/1e6))
		}
	}
}

// notice tells the user something that is no result.
func (m *monitor) notice(text string) { _ = m.conn.Send(kindNotice, []byte(text)) }

// assemble makes everything in the root that does not need the namespaces of
// the first process.
func (m *monitor) assemble() error {
	root, err := rootfs.OpenRoot(m.root.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	if m.who, err = identity.Resolve(root, m.Spec.Process.User, m.Spec.Process.GroupAdd); err != nil {
		return err
	}
	if err := m.checkIdentity(); err != nil {
		return err
	}
	if m.Spec.KeepID {
		if err := identity.Introduce(root, m.Host.Name, m.Host.UID, m.Host.GID); err != nil {
			return err
		}
	}
	if err := m.prepareVolumes(root); err != nil {
		return err
	}
	generated, err := m.generate()
	if err != nil {
		return err
	}
	plan, err := rootfs.Plan(rootfs.Config{
		Spec: &m.Spec, Generated: generated, VolumePath: m.volumePath, HostNetwork: m.Spec.Network == NetworkHost,
		UID: m.uids.toU1, GID: m.gids.toU1,
	})
	if err != nil {
		return err
	}
	if err := rootfs.Apply(m.root.Path, plan); err != nil {
		return err
	}
	return m.openStreams()
}

// checkIdentity refuses an id that this host does not give the user.
func (m *monitor) checkIdentity() error {
	if _, ok := m.uids.toU1(m.who.UID); !ok {
		return m.unmapped("user", m.who.UID)
	}
	if _, ok := m.gids.toU1(m.who.GID); !ok {
		return m.unmapped("group", m.who.GID)
	}
	return nil
}

func (m *monitor) unmapped(what string, id int) error {
	f := &Failure{Code: codeEngine, Message: fmt.Sprintf("run as %s %d: it has no id on this host (%s)", what, id, m.Host.IDMode)}
	f.Fix = "use --user 0, or have an administrator add subordinate ids: see rootlet info"
	return f
}

// announce writes down what the container is; from here on it is listed.
func (m *monitor) announce() error {
	if err := m.container.WriteSpec(&m.Spec); err != nil {
		return err
	}
	return m.conn.Send(kindCreated, []byte(m.container.ID))
}
