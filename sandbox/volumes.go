package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/sandbox/volume"
)

// You come here from monitor.go, while the root is being put together, and from
// end.go. What a volume is stands in the package volume.

// volumePath says what is mounted for a volume.
func (m *monitor) volumePath(name string) string { return m.volumes[name].Path }

// prepareVolumes names the anonymous volumes, makes those that are missing, and
// has all of them in use until the container ends. A container that has run
// before gets nothing copied: who emptied a volume meant it.
func (m *monitor) prepareVolumes(root *os.File) error {
	m.volumes, m.mounted = map[string]*volume.Lease{}, true
	if err := m.nameVolumes(); err != nil {
		return err
	}
	for i := range m.Spec.Mounts {
		v := &m.Spec.Mounts[i]
		if v.Type != record.Volume {
			continue
		}
		if err := m.useVolume(v); err != nil {
			return err
		}
		if !v.NoCopy && m.state.Started.IsZero() {
			if err := copyUp(root, v.Target, m.volumes[v.Source]); err != nil {
				return err
			}
		}
		if err := m.giveEmpty(m.volumes[v.Source]); err != nil {
			return err
		}
	}
	return nil
}

// nameVolumes names the anonymous volumes.
func (m *monitor) nameVolumes() error {
	named := false
	for i := range m.Spec.Mounts {
		if v := &m.Spec.Mounts[i]; v.Type == record.Volume && v.Source == "" {
			v.Source, v.Anonymous, named = volume.RandomName(), true, true
		}
	}
	if !named {
		return nil
	}
	return m.tieVolumes()
}

// tiedFile is in the directory of a container that has no record yet, or none
// any more, and has the names of its anonymous volumes: should this process die,
// they go with what there is of the container (see Sweep).
const tiedFile = "anonymous"

// tieVolumes writes tiedFile, or removes it where there are no such volumes.
func (m *monitor) tieVolumes() error {
	var names []string
	for _, v := range m.Spec.Mounts {
		if v.Type == record.Volume && v.Anonymous {
			names = append(names, v.Source)
		}
	}
	if len(names) == 0 {
		return m.untieVolumes()
	}
	return os.WriteFile(filepath.Join(m.container.Dir, tiedFile), []byte(strings.Join(names, "\n")), 0o600)
}

func (m *monitor) untieVolumes() error {
	err := os.Remove(filepath.Join(m.container.Dir, tiedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeTied removes the volumes that are tied to a container's directory.
func removeTied(paths Paths, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, tiedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range strings.Fields(string(text)) {
		errs = append(errs, removeUnused(paths, name))
	}
	return errors.Join(errs...)
}

func (m *monitor) useVolume(v *record.Mount) error {
	if m.volumes[v.Source] == nil {
		l, err := volume.In(m.Paths.Data).Use(volume.Volume{Name: v.Source, Anonymous: v.Anonymous}, !m.Spec.Remove)
		if err != nil {
			return err
		}
		m.volumes[v.Source] = l
		failpoint.At("volumes has one")
		if l.Made {
			m.volumeEvent("create", v.Source)
		}
	}
	l := m.volumes[v.Source]
	if l.Device() != "" { // as for a bind: see rootfs.userOp
		v.NoSuid, v.Recursive = true, l.Recursive()
		v.ReadOnly, v.NoExec = v.ReadOnly || l.ReadOnly(), v.NoExec || l.NoExec()
	}
	m.volumeEvent("mount", v.Source, "container", m.Spec.ID, "destination", v.Target,
		"propagation", v.Propagation, "read/write", strconv.FormatBool(!v.ReadOnly))
	return nil
}

// copyUp fills an empty volume with what the image has at target.
func copyUp(root *os.File, target string, l *volume.Lease) error {
	place, err := rootfs.Find(root, target)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer place.Close()
	from, err := os.OpenFile(linux.FDPath(place), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", l.Name, err)
	}
	defer from.Close()
	failpoint.At("volumes before copying")
	return l.Fill(from)
}

// giveEmpty gives container root a volume that has nothing in it yet and is the
// caller's, where the caller has no id in the container: nobody could use it.
func (m *monitor) giveEmpty(l *volume.Lease) error {
	if l.Device() != "" || m.uids.hasCaller() {
		return nil
	}
	dir, err := os.Open(l.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil || st.Uid != 0 {
		return err
	}
	if _, err := dir.Readdirnames(1); !errors.Is(err, io.EOF) {
		return err
	}
	uid, _ := m.uids.toU1(0)
	gid, _ := m.gids.toU1(0)
	return dir.Chown(uid, gid)
}

// letVolumesGo closes the leases, once the container is listed: from then on its
// record says that it has the volumes.
func (m *monitor) letVolumesGo() error {
	var errs []error
	for _, lease := range m.volumes {
		errs = append(errs, lease.Close())
	}
	m.volumes = nil
	return errors.Join(errs...)
}

// closeVolumes ends the use of the volumes.
func (m *monitor) closeVolumes() error {
	err := m.letVolumesGo()
	if !m.mounted {
		return err
	}
	m.mounted = false
	used := map[string]bool{}
	for _, v := range m.Spec.Mounts {
		if v.Type == record.Volume && !used[v.Source] {
			used[v.Source] = true
			m.volumeEvent("unmount", v.Source, "container", m.Spec.ID)
		}
	}
	return err
}

func (m *monitor) volumeEvent(action, name string, more ...string) {
	_ = events.Append(m.Paths.Data, volume.Event(action, name, more...))
}

// removeVolumes deletes the container's anonymous volumes, but for those that
// another container has by --volumes-from: they go with the last one.
func (m *monitor) removeVolumes() error {
	errs := []error{m.closeVolumes()}
	for _, v := range m.Spec.Mounts {
		if v.Type == record.Volume && v.Anonymous && v.Source != "" {
			errs = append(errs, removeUnused(m.Paths, v.Source))
		}
	}
	return errors.Join(errs...)
}

// removeUnused deletes a volume unless a container has it.
func removeUnused(paths Paths, name string) error {
	err := RemoveVolume(paths, name)
	var inUse *volume.InUseError
	var gone *volume.NotFoundError
	if errors.As(err, &inUse) || errors.As(err, &gone) {
		return nil
	}
	return err
}

// RemoveVolume deletes a volume that no container has. It is called in U1, as
// the files belong to many ids. It returns a *volume.InUseError or a
// *volume.NotFoundError.
func RemoveVolume(paths Paths, name string) error {
	err := volume.In(paths.Data).Remove(name, func() ([]string, error) {
		users, err := volume.Users(record.Root(paths.Data))
		return users[name], err
	})
	if err == nil {
		_ = events.Append(paths.Data, volume.Event("destroy", name))
	}
	return err
}
