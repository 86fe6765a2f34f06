package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/changes"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/sandbox/volume"
	"rootlet/userns"
)

// Opened is a container for a worker that works in its files. Where it runs, the
// worker was started by StartInside; where it does not, it cannot be started as
// long as it is open.
type Opened struct {
	Spec  record.Spec
	Image *fuseoverlay.Image
	Root  *os.File // its root with its volumes; nil unless OpenRoot has been called

	paths      Paths
	store      *fuseoverlay.Store
	running    bool
	uids, gids idMap
	cleanup    []func() error
}

// ErrChanged says that a container is no longer as it was when a command chose
// how to reach it: it started or ended meanwhile.
var ErrChanged = errors.New("container has just started or ended")

// OpenFiles opens a container. running says which of the two it is to be; where
// it is the other one it returns ErrChanged.
func OpenFiles(paths Paths, store *fuseoverlay.Store, id string, running bool) (*Opened, error) {
	o := &Opened{paths: paths, store: store, running: running}
	err := o.open(record.Root(paths.Data), id)
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Changes lists what a container has changed in its root, sorted by path. It
// reads where the changes are kept, whether the container runs or not.
func Changes(paths Paths, store *fuseoverlay.Store, id string) ([]changes.Change, error) {
	o := &Opened{paths: paths, store: store, running: true}
	if err := o.read(record.Root(paths.Data), id); err != nil {
		return nil, err
	}
	return store.Changes(o.Image, o.Own())
}

func (o *Opened) open(root record.Root, id string) error {
	if !o.running {
		c, err := takeStopped(root, id)
		if err != nil {
			return err
		}
		o.later(c.Close)
	}
	return o.read(root, id)
}

// read reads what the container is.
func (o *Opened) read(root record.Root, id string) (err error) {
	if o.Spec, err = root.Spec(id); err != nil {
		return err
	}
	if o.Image, err = o.store.Image(o.Spec.ImageID); err != nil {
		return err
	}
	uids, gids, err := userns.CurrentMaps()
	if err != nil {
		return err
	}
	if len(uids) == 0 || len(gids) == 0 {
		return errors.New("this user namespace has no ids")
	}
	// The caller is 0 in U1: see userns.Plan.
	o.uids, o.gids = mapsFor(&o.Spec, uids, gids, int(uids[0].HostID), int(gids[0].HostID))
	return nil
}

// takeStopped takes the lock of a container that does not run. One that has just
// been told to end, or that another command works in, is waited for.
func takeStopped(root record.Root, id string) (*record.Container, error) {
	c, err := OpenEnded(root, id)
	var busy *BusyError
	switch {
	case errors.As(err, &busy):
		return nil, ErrChanged
	case errors.Is(err, fs.ErrNotExist):
		return nil, &record.NotFoundError{Given: id[:12]}
	}
	return c, err
}

func (o *Opened) later(f func() error) { o.cleanup = append(o.cleanup, f) }

// Close lets go of it.
func (o *Opened) Close() error {
	var errs []error
	for i := len(o.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, o.cleanup[i]())
	}
	o.cleanup = nil
	return errors.Join(errs...)
}

// OpenRoot opens the root, with what of its mounts there is: all of a running
// container's, volumes and bound directories of another.
func (o *Opened) OpenRoot() error {
	if !o.running {
		return o.mount()
	}
	err := ofFirstProcess(record.Root(o.paths.Data), o.Spec.ID, func(dir string) (err error) {
		o.Root, err = rootfs.OpenRoot(dir + "/root")
		return err
	})
	if errors.Is(err, ErrNotRunning) {
		return ErrChanged
	}
	if err == nil {
		o.later(o.Root.Close)
	}
	return err
}

// mount mounts the root of a container that does not run, in this process's own
// mount namespace.
func (o *Opened) mount() error {
	options := fuseoverlay.MountOptions{Dir: record.Root(o.paths.Data).Dir(o.Spec.ID), Volatile: o.Spec.Remove, AnyOwner: o.Spec.Sandbox}
	if o.uids.shifts() || o.gids.shifts() {
		options.UIDs, options.GIDs = o.uids.shown(), o.gids.shown()
	}
	mounted, err := o.store.Mount(o.Image, options)
	if err != nil {
		return err
	}
	o.later(mounted.Close)
	volumes, err := o.volumes()
	if err != nil {
		return err
	}
	plan, err := rootfs.PlanLasting(rootfs.Config{Spec: &o.Spec, UID: o.uids.toU1, GID: o.gids.toU1, VolumePath: func(name string) string { return volumes[name] }})
	if err != nil {
		return err
	}
	if err := rootfs.Apply(mounted.Path, plan); err != nil {
		return err
	}
	if o.Root, err = rootfs.OpenRoot(mounted.Path); err != nil {
		return err
	}
	o.later(o.Root.Close)
	return nil
}

// volumes has the container's volumes in use and says where their content is.
// One that was removed meanwhile is not made again.
func (o *Opened) volumes() (map[string]string, error) {
	paths := map[string]string{}
	store := volume.In(o.paths.Data)
	for _, m := range o.Spec.Mounts {
		var gone *volume.NotFoundError
		if _, err := store.Inspect(m.Source); m.Type != record.Volume || errors.As(err, &gone) {
			continue
		}
		lease, err := store.Use(volume.Volume{Name: m.Source, Anonymous: m.Anonymous}, true)
		if err != nil {
			return nil, err
		}
		o.later(lease.Close)
		paths[m.Source] = lease.Path
	}
	return paths, nil
}

// Own says where the container's own files are, without what the runtime itself
// has put there to mount on.
func (o *Opened) Own() fuseoverlay.OwnOptions {
	own := fuseoverlay.OwnOptions{Dir: record.Root(o.paths.Data).Dir(o.Spec.ID), Skip: rootfs.IsRuntimes}
	if o.uids.shifts() || o.gids.shifts() {
		own.UIDs, own.GIDs = o.uids.shown(), o.gids.shown()
	}
	return own
}

// Settle has what a running container has written reach the directory in which
// its changes are kept: fuse-overlayfs lets the kernel write behind.
func (o *Opened) Settle() error {
	if !o.running {
		return nil
	}
	if err := o.OpenRoot(); err != nil {
		return err
	}
	fd, err := unix.Openat(int(o.Root.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("have the container's files written: %w", err)
	}
	return nil
}

// ToU1 translates an owner as the container knows him; false says that he has no
// id here.
func (o *Opened) ToU1(uid, gid int) (int, int, bool) {
	u, okUID := o.uids.toU1(uid)
	g, okGID := o.gids.toU1(gid)
	return u, g, okUID && okGID
}

// OneID says that all files belong to one owner here, whoever they should.
func (o *Opened) OneID() bool { return o.uids.callersAlone() }

// FromU1 translates owners to what the container knows them as; nil functions
// keep them.
func (o *Opened) FromU1() (uid, gid func(uint32) uint32) {
	if !o.uids.shifts() && !o.gids.shifts() {
		return nil, nil
	}
	return o.uids.fromU1, o.gids.fromU1
}
