package fuseoverlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rootlet/fuseoverlay/tree"
	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/need"

	"golang.org/x/sys/unix"
)

// Shift shows the files of Size ids from From on as belonging to the ids from To
// on. Both are ids of U1; those in the store are the image's own.
type Shift struct{ From, To, Size uint32 }

// MountOptions says how to mount the root of a container.
type MountOptions struct {
	// Dir is the container's directory, absolute; it exists.
	Dir string
	// ReadOnly mounts the root read-only.
	ReadOnly bool
	// Volatile is for a root that goes with its container: the kernel may leave
	// its changes unwritten, and after a crash it cannot be mounted again.
	Volatile bool
	// UIDs and GIDs shift the owners of all files. Only fuse-overlayfs can do so
	// as it serves them; otherwise the layers are copied. Every id must be
	// covered; those that are not show as the overflow id.
	UIDs, GIDs []Shift
	// Copies is told why the layers are copied only because owners are shifted; it
	// may be nil.
	Copies func(why error)
	// AnyOwner takes a root whose owners are not shifted, where what shifts them is
	// a copy, or the native overlay is asked for by name.
	AnyOwner bool
	// Progress is told how far a copy is, in bytes; it may be nil.
	Progress func(done, total int64)
}

// The names in a container's directory that belong to this package.
const (
	rootfsName = "rootfs" // the mount point
	upperName  = "upper"  // what the container changes, under the overlay drivers
	workName   = "work"   // the overlay's own, on the same file system
	treeName   = "tree"   // the whole root, under the copy driver
	emptyName  = "empty"  // stands in for the layers of an image that has none
	copiedFile = "copied" // its time is when the tree was whole
	driverFile = "driver" // which driver the above belong to
)

// Root is a mounted root file system.
type Root struct {
	Path   string // the mount point
	Driver string // what serves it

	helper *fuseHelper // nil unless fuse-overlayfs serves it
}

// Done tells when the program that serves the root has died, by its error. It
// is nil, which blocks for ever, where the kernel serves it.
func (r *Root) Done() <-chan error {
	if r.helper == nil {
		return nil
	}
	return r.helper.done
}

// Close unmounts the root and ends what serves it. The files stay.
func (r *Root) Close() error {
	if r.helper != nil {
		return r.helper.unmount(r.Path)
	}
	return unmount(r.Path, unix.MNT_DETACH)
}

// Kept is a mounted root on its way over an execve(2) of the process that mounted
// it. PID is of the program that serves it, 0 where the kernel does; Output is a
// descriptor that must stay open then.
type Kept struct {
	Path   string `json:"path"`
	Driver string `json:"driver"`
	PID    int    `json:"pid,omitempty"`
	Output int    `json:"output,omitempty"`
}

// Keep says what Resume needs.
func (r *Root) Keep() (Kept, error) {
	k := Kept{Path: r.Path, Driver: r.Driver}
	if r.helper == nil {
		return k, nil
	}
	k.PID = r.helper.process.Pid
	var err error
	k.Output, err = linux.Descriptor(r.helper.printed)
	return k, err
}

// Resume takes over a root in the process that its mounter has become.
func Resume(k Kept) (*Root, error) {
	r := &Root{Path: k.Path, Driver: k.Driver}
	if k.PID == 0 {
		return r, nil
	}
	process, err := os.FindProcess(k.PID) // our child: its number is nobody else's yet
	if err != nil {
		return nil, err
	}
	_ = unix.SetNonblock(k.Output, true)
	r.helper = newHelper()
	r.helper.process, r.helper.printed = process, os.NewFile(uintptr(k.Output), "stderr")
	go r.helper.watch()
	return r, nil
}

func unmount(path string, flags int) error {
	if err := unix.Unmount(path, flags|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %q: %w", path, err)
	}
	return nil
}

// Mount mounts the image's files, writable unless said otherwise, at Dir/rootfs
// in the caller's mount namespace. It is called on the process's first thread:
// fuse-overlayfs, where that serves the root, dies with the thread. What a container that was mounted before has
// changed is there again, and it keeps its driver.
func (s *Store) Mount(img *Image, o MountOptions) (*Root, error) {
	driver, err := s.driverFor(o)
	if err != nil {
		return nil, fmt.Errorf("mount root: %w", err)
	}
	m := &mounting{store: s, options: o, driver: driver, total: img.Size}
	root, err := m.run(img)
	var lost *LostError
	if errors.As(err, &lost) {
		return nil, lost
	}
	if err != nil {
		// What was probed once may have ceased to be true.
		s.forgetProbe(driver)
		return nil, &MountError{Driver: driver, Err: err}
	}
	return root, nil
}

// MountError says that a root could not be mounted.
type MountError struct {
	Driver string
	Err    error
}

func (e *MountError) Error() string { return fmt.Sprintf("mount root with %s: %v", e.Driver, e.Err) }

// Unwrap gives the cause.
func (e *MountError) Unwrap() error { return e.Err }

// Need is the line of doctor about it: none where layers are gone or damaged, which
// no host can help.
func (e *MountError) Need() string {
	var damaged *DamagedError
	switch {
	case errors.As(e.Err, &damaged), errors.Is(e.Err, unix.ENOENT):
		return ""
	case errors.Is(e.Err, unix.ENOSPC), errors.Is(e.Err, unix.EDQUOT), errors.Is(e.Err, unix.EROFS):
		return need.Storage
	}
	return need.RootFilesystem
}

// mounting is one call of Mount.
type mounting struct {
	store   *Store
	options MountOptions
	driver  string
	own     string // where the container's own files are
	total   int64  // of the layers, in bytes
	layers  []int  // topmost first
}

func (m *mounting) run(img *Image) (*Root, error) {
	layers, err := m.store.openChain(img.TopLayer)
	if err != nil {
		return nil, err
	}
	defer closeAll(layers)
	if m.own, err = m.store.ownPlace(m.options.Dir); err != nil {
		return nil, err
	}
	if m.layers = layers; len(layers) == 0 {
		return m.mountEmpty()
	}
	return m.mount()
}

// mountEmpty mounts an image without layers on an empty directory: an overlay
// needs something below.
func (m *mounting) mountEmpty() (*Root, error) {
	if err := mkdir(m.ownPath(emptyName), 0o755); err != nil {
		return nil, err
	}
	fd, err := openPath(m.ownPath(emptyName))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	m.layers = []int{fd}
	return m.mount()
}

// mount mounts the layers that are open.
func (m *mounting) mount() (*Root, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	failpoint.At("mount prepared")
	root := &Root{Path: m.path(rootfsName), Driver: m.driver}
	var err error
	switch m.driver {
	case Native:
		err = m.mountNative()
	case FuseOverlayfs:
		root.helper, err = m.mountFuse()
	default:
		err = m.mountCopy()
	}
	if err == nil && m.options.ReadOnly {
		if err = setFlags(root.Path, unix.MOUNT_ATTR_RDONLY); err != nil {
			err = errors.Join(err, root.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	return root, nil
}

func (m *mounting) path(name string) string { return filepath.Join(m.options.Dir, name) }

func (m *mounting) ownPath(name string) string { return filepath.Join(m.own, name) }

// prepare makes the directories of a container that is mounted for the first
// time. The driver is written down first: what another one leaves in the upper
// directory would be misread.
func (m *mounting) prepare() error {
	if err := m.recordDriver(); err != nil {
		return fmt.Errorf("record driver: %w", err)
	}
	failpoint.At("mount driver recorded")
	if err := mkdir(m.path(rootfsName), 0o755); err != nil {
		return err
	}
	if m.driver == Copy {
		return nil
	}
	if err := mkdir(m.ownPath(workName), 0o700); err != nil {
		return err
	}
	return m.makeUpper()
}

// recordDriver writes down which driver serves the container, whole or not at all:
// others read it at any time, and a container that is mounted again has it.
func (m *mounting) recordDriver() error {
	if recorded, err := recordedDriver(m.options.Dir); err == nil && recorded == m.driver {
		return nil
	}
	aside := m.path("." + driverFile)
	if err := os.WriteFile(aside, []byte(m.driver+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(aside, m.path(driverFile))
}

// makeUpper makes the upper directory, which is the one that says how the
// container's / looks: as that of the topmost layer.
func (m *mounting) makeUpper() error {
	err := os.Mkdir(m.ownPath(upperName), 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	failpoint.At("mount upper made")
	from, err := unix.Openat(m.layers[0], ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open root of the image: %w", err)
	}
	defer unix.Close(from)
	to, err := unix.Open(m.ownPath(upperName), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return tree.CopyAttributes(from, to, tree.NotOverlays)
}

// recordedDriver is the one that the container has been mounted with, or "".
func recordedDriver(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, driverFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	driver := strings.TrimSpace(string(b))
	if err == nil && (driver == "" || !validDriver(driver)) {
		err = fmt.Errorf("%q is no driver", driver)
	}
	return driver, err
}

// mkdir makes a directory with exactly that mode, whatever the umask, unless it
// exists.
func mkdir(path string, mode os.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// setFlags adds flags, as mount_setattr(2) has them, to those of a mount.
func setFlags(path string, flags uint64) error {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := linux.SetMountAttributes(f, flags, false); err != nil {
		return fmt.Errorf("set %s on the mount at %q: %w", linux.MountAttributes(flags), path, err)
	}
	return nil
}
