package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// covered are what of /proc and /sys is hidden, and what is there to be read only.
var (
	hiddenPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
		"/proc/timer_list", "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	closedPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// unmask tries to take the masks off, in every way that mount(2) and its successors have,
// here and in further namespaces, and looks behind them after each.
func unmask(args []string) error {
	lookBehindMasks()
	for _, path := range append(append([]string{"/proc", "/sys"}, hiddenPaths...), closedPaths...) {
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		takeOff(path)
		lookBehindMasks()
	}
	if len(args) > 0 {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, flags := range []uintptr{
		unix.CLONE_NEWNS,
		unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		unix.CLONE_NEWNS | unix.CLONE_NEWUSER,
		unix.CLONE_NEWNS | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP,
	} {
		c := exec.Command(self, "unmask", "here")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&unix.CLONE_NEWUSER != 0 {
			c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{Size: 1}}
			c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{Size: 1}}
		}
		if err := c.Run(); err != nil {
			return fmt.Errorf("with namespaces %#x: %w", flags, err)
		}
	}
	return nil
}

// takeOff does all that could uncover what is below path.
func takeOff(path string) {
	places := []string{"/tmp/a", "/tmp/b", "/tmp/c"}
	for _, p := range places {
		_ = os.MkdirAll(p, 0o700)
	}
	for _, flags := range []int{0, unix.MNT_DETACH, unix.MNT_FORCE, unix.UMOUNT_NOFOLLOW, unix.MNT_EXPIRE} {
		if path != "/proc" && path != "/sys" { // these have nothing below them
			_ = unix.Unmount(path, flags)
		}
	}
	_ = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	_ = unix.Mount("", path, "", unix.MS_REMOUNT, "")
	_ = unix.Mount("", path, "", unix.MS_REMOUNT, "hidepid=0,subset=all")
	_ = unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
	_ = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	_ = unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	_ = unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC})
	_ = unix.Mount(filepath.Dir(path), places[0], "", unix.MS_BIND, "")
	if unix.Mount(path, places[1], "", unix.MS_MOVE, "") == nil {
		lookBelow(places[1]) // /sys as a whole: the rest is to be tried on it where it was
		_ = unix.Mount(places[1], path, "", unix.MS_MOVE, "")
	}
	_ = unix.Mount("proc", places[2], "proc", 0, "")
	_ = unix.Mount("sysfs", places[2], "sysfs", 0, "")
	for _, flags := range []uint{unix.OPEN_TREE_CLONE, unix.OPEN_TREE_CLONE | unix.AT_RECURSIVE} {
		if fd, err := unix.OpenTree(unix.AT_FDCWD, filepath.Dir(path), flags|unix.OPEN_TREE_CLOEXEC); err == nil {
			_ = unix.MoveMount(fd, "", unix.AT_FDCWD, places[1], unix.MOVE_MOUNT_F_EMPTY_PATH)
			unix.Close(fd)
		}
	}
	for _, kind := range []string{"proc", "sysfs"} {
		if fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC); err == nil {
			if unix.FsconfigCreate(fd) == nil {
				if m, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0); err == nil {
					success("a %s of its own", kind)
					unix.Close(m)
				}
			}
			unix.Close(fd)
		}
	}
	if fd, err := unix.Fspick(unix.AT_FDCWD, path, unix.FSPICK_CLOEXEC); err == nil {
		_ = unix.FsconfigSetString(fd, "hidepid", "0")
		_ = unix.FsconfigReconfigure(fd)
		unix.Close(fd)
	}
	for _, p := range places {
		lookBelow(p)
		_ = unix.Unmount(p, unix.MNT_DETACH)
	}
}

// lookBelow looks for hidden files in a mount that was had at another place.
func lookBelow(place string) {
	for _, path := range hiddenPaths {
		base := filepath.Base(path)
		hiddenAt(filepath.Join(place, strings.TrimPrefix(path, "/proc")))
		hiddenAt(filepath.Join(place, strings.TrimPrefix(path, "/sys")))
		hiddenAt(filepath.Join(place, base))
		hiddenAt(filepath.Join(place, path))
	}
	writable(filepath.Join(place, "sys/kernel"))
	writable(filepath.Join(place, "proc/sys/kernel"))
	writable(filepath.Join(place, "kernel"))
}

func lookBehindMasks() {
	for _, path := range hiddenPaths {
		hiddenAt(path)
	}
	for _, path := range closedPaths {
		writable(path)
	}
	writable("/sys/kernel")
	for _, link := range []string{"/proc/1/root", "/proc/self/root", "/proc/thread-self/root"} {
		for _, path := range hiddenPaths {
			hiddenAt(link + path)
		}
		writable(link + "/proc/sys/kernel")
	}
	thermal, _ := filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	for _, path := range thermal {
		hiddenAt(path)
	}
}

// hiddenAt: what is there is empty, or /dev/null.
func hiddenAt(path string) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	if info.IsDir() {
		if strings.HasPrefix(path, "/tmp/") && info.Sys().(*syscall.Stat_t).Dev == deviceOf("/tmp") {
			return // a place of its own
		}
		if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
			success("%s has %d entries", path, len(entries))
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if n, _ := f.Read(make([]byte, 64)); n > 0 {
		success("%s can be read", path)
	}
}

func deviceOf(path string) uint64 {
	var st unix.Stat_t
	_ = unix.Stat(path, &st)
	return st.Dev
}

// writable looks for a file of the kernel's that opens for writing.
func writable(path string) {
	_ = filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err == nil {
			unix.Close(fd)
			success("%s can be written", path)
		}
		return nil
	})
}
