package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/tree"
	"rootlet/internal/linux"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
)

// volumeRule is Docker's for the name of a volume.
var volumeRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// CheckVolumeName reports whether name may be a volume's.
func CheckVolumeName(name string) error {
	if !volumeRule.MatchString(name) {
		return fmt.Errorf("invalid volume name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed; a path begins with / or ./", name)
	}
	return nil
}

// volumeRecord is volume.json beside a volume's content.
type volumeRecord struct {
	Version   int       `json:"version"`
	Name      string    `json:"name"`
	Created   time.Time `json:"created"`
	Anonymous bool      `json:"anonymous,omitempty"`
}

// volumeData is the directory that is mounted, beside volume.json.
const volumeData = "_data"

func (m *monitor) volumeDir(name string) string { return filepath.Join(m.Paths.Data, "volumes", name) }

func (m *monitor) volumePath(name string) string { return filepath.Join(m.volumeDir(name), volumeData) }

// prepareVolumes names the anonymous volumes and makes those that are missing.
func (m *monitor) prepareVolumes(root *os.File) error {
	for i := range m.Spec.Mounts {
		v := &m.Spec.Mounts[i]
		if v.Type != record.Volume {
			continue
		}
		if v.Source == "" {
			var raw [32]byte
			rand.Read(raw[:])
			v.Source, v.Anonymous = hex.EncodeToString(raw[:]), true
		}
		if err := CheckVolumeName(v.Source); err != nil {
			return err
		}
		if err := m.makeVolume(root, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Source, err)
		}
	}
	return nil
}

// makeVolume makes a volume that is not there, with what the image has at its
// place. It is put together aside and moved into place whole: whoever else
// makes the same one at the same time wins or loses, and neither content is
// mixed or overwritten (CVE-2020-1726).
func (m *monitor) makeVolume(root *os.File, v *record.Mount) error {
	dir := m.volumeDir(v.Source)
	if _, err := os.Lstat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	if err := m.fillVolume(root, v, aside); err != nil {
		return errors.Join(err, fuseoverlay.RemoveTree(aside))
	}
	err = os.Rename(aside, dir)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return fuseoverlay.RemoveTree(aside)
	}
	return err
}

func (m *monitor) fillVolume(root *os.File, v *record.Mount, dir string) error {
	text, err := json.Marshal(volumeRecord{Version: record.Version, Name: v.Source, Created: time.Now().UTC(), Anonymous: v.Anonymous})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "volume.json"), text, 0o600); err != nil {
		return err
	}
	data := filepath.Join(dir, volumeData)
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	to, err := os.Open(data)
	if err != nil {
		return err
	}
	defer to.Close()
	if v.NoCopy {
		return nil
	}
	return copyUp(root, v.Target, to)
}

// copyUp fills a new volume with what the image has at target, and gives it
// that directory's owner and mode.
func copyUp(root *os.File, target string, to *os.File) error {
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
		return err
	}
	defer from.Close()
	copier := tree.Copier{}
	return copier.Merge([]int{int(from.Fd())}, int(to.Fd()))
}

// removeVolumes deletes the container's anonymous volumes.
func (m *monitor) removeVolumes() error {
	var errs []error
	for _, v := range m.Spec.Mounts {
		if v.Type == record.Volume && v.Anonymous && v.Source != "" {
			errs = append(errs, fuseoverlay.RemoveTree(m.volumeDir(v.Source)))
		}
	}
	return errors.Join(errs...)
}
