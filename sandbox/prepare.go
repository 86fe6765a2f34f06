package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/internal/need"
	"rootlet/sandbox/events"
	"rootlet/sandbox/identity"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/userns"
)

// You come here from monitor.go. Next is launch.go.

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
	return m.mapIDs()
}

// mapIDs says which ids the container has.
func (m *monitor) mapIDs() error {
	uids, gids, err := userns.CurrentMaps()
	if err != nil {
		return err
	}
	m.uids, m.gids = mapsFor(&m.Spec, uids, gids, m.Host.UID, m.Host.GID)
	if len(m.uids) == 0 || len(m.gids) == 0 {
		return &Failure{
			Code: codeEngine, Message: fmt.Sprintf("--userns %s: you have no subordinate ids, which the container would have in place of yours", m.Spec.UserNS),
			Fix: "have an administrator add some, or use --userns keep-id, where it runs as you", Lacks: need.IDs,
		}
	}
	if own := m.Spec.UserNS.IDs; own.Count > min(m.uids.size(), m.gids.size()) {
		return &Failure{
			Code: codeEngine, Message: fmt.Sprintf("--userns auto: the %d ids of the container, from your subordinate id %d on, are not all yours any more", own.Count, own.First),
			Fix: "have an administrator give them back, or make the container anew",
		}
	}
	if m.hasCallersID() {
		m.notice("--sandbox: you have no subordinate ids, so its programs have your own id; --userns nomap would insist on others")
	}
	return nil
}

// hasCallersID says of a sandbox that it could not be without.
func (m *monitor) hasCallersID() bool { return m.Spec.Sandbox && m.uids.hasCaller() }

// open takes a container that is there.
func (m *monitor) open() error {
	root := record.Root(m.Paths.Data)
	var err error
	m.container, err = OpenEnded(root, m.Start)
	if errors.Is(err, fs.ErrNotExist) {
		return &record.NotFoundError{Given: m.Start} // removed meanwhile
	}
	if err != nil {
		return err
	}
	m.later(m.container.Close)
	if m.Spec, err = root.Spec(m.Start); err != nil {
		return err
	}
	if len(m.Spec.Process.Args()) == 0 {
		return fmt.Errorf("the record of container %s is damaged: it names no command", m.Start)
	}
	// The lock is ours, so that whatever the record says of a running program is
	// of one that died with its monitor.
	m.state, err = root.Last(m.Start)
	removeLeftCgroup(m.state, m.Start)
	m.state.Restarts, m.state.Stopped, m.state.Error, m.state.Cgroup, m.state.Cgroups = 0, false, "", "", nil
	return err
}

func (m *monitor) openStore() error {
	// What it makes is the user's alone, whatever his shell's umask. That one is for the
	// rest: mount points in the container's root go by it.
	defer unix.Umask(unix.Umask(0o077))
	var err error
	m.keepScratch()
	m.store, err = fuseoverlay.Open(StoreConfig(m.Paths, m.Spec.StorageDriver))
	return err
}

// findImage completes the spec from the image.
func (m *monitor) findImage() error {
	var err error
	if m.letImagesGo, err = m.store.KeepImages(); err != nil {
		return err
	}
	if m.image, err = m.store.Image(m.ImageName); err != nil {
		return err
	}
	m.Spec.ImageID = m.image.ID
	m.Spec.Hello = m.HelloID == m.image.ID
	return m.resolve(m.image.Config)
}

// findOwnImage finds the image that the container was made from, by whatever
// name it goes now.
func (m *monitor) findOwnImage() error {
	var err error
	m.image, err = m.store.Image(m.Spec.ImageID)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		// Not the client's cue to pull: only this very image will do.
		err = fmt.Errorf("the image that the container was made from is gone: %s", m.Spec.ImageID)
	}
	return err
}

// StoreConfig says where the store of a user is.
func StoreConfig(p Paths, driver string) fuseoverlay.Config {
	c := fuseoverlay.Config{
		GraphRoot: filepath.Join(p.Data, "storage"),
		RunRoot:   filepath.Join(p.Runtime, "storage"),
		Driver:    driver,
	}
	if p.Layers != "" {
		c.GraphRoot, c.Lists = filepath.Join(p.Layers, "storage"), c.GraphRoot
	}
	return c
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
	m.state = record.State{Status: record.Created}
	return nil
}

// mountRoot mounts the image with a layer of the container's own on top.
func (m *monitor) mountRoot() error {
	o := fuseoverlay.MountOptions{Dir: m.container.Dir, Volatile: m.Spec.Remove, AnyOwner: m.Spec.Sandbox, Progress: m.copyProgress()}
	if m.uids.shifts() || m.gids.shifts() {
		o.UIDs, o.GIDs = m.uids.shown(), m.gids.shown()
		o.Copies = func(why error) {
			m.notice(fmt.Sprintf("--userns %s: the image is copied for this container, as only %s can show its files under other owners: %v", m.Spec.UserNS, fuseoverlay.FuseOverlayfs, why))
		}
	}
	var err error
	m.root, err = m.store.Mount(m.image, o)
	failpoint.At("monitor mounted")
	if err = errors.Join(err, m.store.Close()); err != nil {
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
func (m *monitor) notice(text string) {
	switch {
	case m.first != nil:
		m.first.post.send(kindNotice, []byte(text), true)
	case m.launcher != nil:
		_ = m.launcher.Send(kindNotice, []byte(text))
	}
}

// happened tells those who follow events, under the name that the container has
// by now.
func (m *monitor) happened(action string, more ...string) {
	spec := m.Spec
	_ = record.Root(m.Paths.Data).Refresh(&spec)
	_ = events.Append(m.Paths.Data, events.Of(&spec, action, more...))
}

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
	m.state.IDMode, m.state.CallersID = m.Host.IDMode, m.hasCallersID()
	m.state.Who = record.Who{UID: m.who.UID, GID: m.who.GID, Groups: m.who.Groups, Home: m.who.Home}
	if err := m.checkIdentity(); err != nil && m.state.Emulation == "" {
		return err
	}
	if m.Spec.UserNS.Mode == record.KeepID {
		uid, gid := m.Spec.UserNS.Kept(m.Host.UID, m.Host.GID)
		if err := identity.Introduce(root, m.Host.Name, uid, gid); err != nil {
			return err
		}
	}
	if err := m.addHome(root); err != nil {
		return err
	}
	failpoint.At("monitor before volumes")
	if err := m.prepareVolumes(root); err != nil {
		return err
	}
	if err := m.bindPorts(); err != nil {
		return err
	}
	generated, err := m.generate()
	if err != nil {
		return err
	}
	if err := m.addAptDropIn(root, generated); err != nil {
		return err
	}
	failpoint.At("monitor before mounts")
	plan, err := rootfs.Plan(rootfs.Config{
		Spec: &m.Spec, Generated: generated, VolumePath: m.volumePath, HostNetwork: m.onHost(),
		UID: m.uids.toU1, GID: m.gids.toU1,
	})
	if err != nil {
		return err
	}
	return rootfs.Apply(m.root.Path, plan)
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
	if m.Spec.UserNS.Mode == record.Auto {
		f.Message = fmt.Sprintf("run as %s %d: the container has %d ids", what, id, m.uids.size())
		f.Fix = fmt.Sprintf("use --userns auto:size=%d", id+1)
		return f
	}
	f.Fix, f.Lacks = "use --user 0, or have an administrator add subordinate ids", need.IDs
	return f
}

// announce writes down what the container is; from here on it is listed.
func (m *monitor) announce() error {
	if err := m.container.WriteSpec(&m.Spec); err != nil {
		return err
	}
	failpoint.At("monitor is listed")
	_ = m.untieVolumes() // or rm does
	m.letImagesGo()
	m.happened("create")
	failpoint.At("monitor has told of it")
	return m.launcher.Send(kindCreated, []byte(m.container.ID))
}
