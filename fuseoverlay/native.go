package fuseoverlay

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountNative mounts the kernel's overlay, in a user namespace since Linux 5.11.
func (m *mounting) mountNative() error {
	work := m.ownPath(workName)
	if m.options.Volatile {
		// The kernel refuses an upper directory that has been volatile before; the
		// container that it belongs to has only been restarted.
		if err := RemoveTree(filepath.Join(work, "work", "incompat")); err != nil {
			return fmt.Errorf("mount again: %w", err)
		}
	}
	return mountOverlay(overlay{
		lower:    m.layers,
		upper:    m.ownPath(upperName),
		work:     work,
		target:   m.path(rootfsName),
		volatile: m.options.Volatile,
	})
}

// overlay is one mount of the kernel's overlay.
type overlay struct {
	lower       []int // topmost first
	upper, work string
	target      string
	volatile    bool
}

// maxMountData is what mount(2) takes of options, in bytes: a page, with the
// final zero byte.
const maxMountData = 4095

// mountOverlay mounts it. Directories are named by descriptor: such names are
// short enough for some 200 layers in a page, need no escaping, and do not show
// the container where the user's files are.
func mountOverlay(o overlay) error {
	upper, err := openPath(o.upper)
	if err != nil {
		return err
	}
	defer unix.Close(upper)
	work, err := openPath(o.work)
	if err != nil {
		return err
	}
	defer unix.Close(work)
	lower := make([]string, len(o.lower))
	for i, fd := range o.lower {
		lower[i] = fdPath(fd)
	}
	data := "userxattr,lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + fdPath(upper) + ",workdir=" + fdPath(work)
	if o.volatile {
		data += ",volatile"
	}
	if len(data) > maxMountData {
		return mountByParts(o, lower, fdPath(upper), fdPath(work))
	}
	err = unix.Mount("overlay", o.target, "overlay", unix.MS_NODEV, data)
	if err == nil {
		return nil
	}
	// All that mount(2) says is EINVAL; the newer calls say why.
	if why := mountByParts(o, lower, fdPath(upper), fdPath(work)); why != nil {
		return fmt.Errorf("mount overlay of %d layers at %q: %w (%w)", len(lower), o.target, err, why)
	}
	return nil
}

// mountByParts hands the layers over one by one (lowerdir+, Linux 6.8); the
// kernel stacks up to 500.
func mountByParts(o overlay, lower []string, upper, work string) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen overlay: %w", err)
	}
	defer unix.Close(fs)
	if err := setOverlayOptions(fs, o, lower, upper, work); err != nil {
		return err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("create overlay: %w", withKernelMessage(fs, err))
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return fmt.Errorf("fsmount overlay: %w", err)
	}
	defer unix.Close(mnt)
	if err := unix.MoveMount(mnt, "", unix.AT_FDCWD, o.target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount overlay to %q: %w", o.target, err)
	}
	return nil
}

// setOverlayOptions describes the overlay.
func setOverlayOptions(fs int, o overlay, lower []string, upper, work string) error {
	flags := []string{"userxattr"}
	if o.volatile {
		flags = append(flags, "volatile")
	}
	for _, flag := range flags {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil {
			return fmt.Errorf("overlay option %s: %w", flag, withKernelMessage(fs, err))
		}
	}
	options := [][2]string{{"upperdir", upper}, {"workdir", work}}
	for _, dir := range lower {
		options = append(options, [2]string{"lowerdir+", dir})
	}
	for _, option := range options {
		if err := unix.FsconfigSetString(fs, option[0], option[1]); err != nil {
			return fmt.Errorf("overlay option %s: %w", option[0], withKernelMessage(fs, err))
		}
	}
	return nil
}

// withKernelMessage adds what the kernel has to say about a file system that it
// does not create (fsopen(2): messages are read from the descriptor).
func withKernelMessage(fs int, err error) error {
	var text []string
	for buf := make([]byte, 512); ; {
		n, readErr := unix.Read(fs, buf)
		if readErr != nil || n <= 0 {
			break
		}
		// Each begins with its level: "e overlay: ...".
		_, message, _ := strings.Cut(strings.TrimSpace(string(buf[:n])), " ")
		text = append(text, message)
	}
	if len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(text, "; "))
}

// fdPath names what a descriptor of this process refers to.
func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func openPath(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
