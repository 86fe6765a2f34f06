// Package landlock has a process of rootlet's give up what it does not need of the
// host (landlock(7)), for the day on which what it reads of strangers makes it do
// their work. It needs no privilege, and what was given up does not come back.
//
// Landlock knows opening, making, removing and renaming files, TCP, and sockets. It
// does not know chmod, chown, utimes and extended attributes: linux.ReadOnlyBut does.
// What a process needs is decided where it begins: cli/confine.go, slirp, slirp/bridge.
package landlock

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Needs are what a process goes on having. What it has open stays open.
type Needs struct {
	Read    []string // files and directories, with all below, as far as they are there
	Write   []string // the same, to change as well
	Opened  []int    // descriptors of files and directories to open again, or below, to read
	Sockets bool     // connect to sockets of the file system, wherever they are
	Connect bool     // by TCP, to any port
	Bind    bool     // the same
}

// Restrict gives up all but the needs, on every thread, and what an execve(2) could
// add (no_new_privs). A kernel without Landlock does the latter alone, which is no
// error: ABI tells.
func Restrict(n Needs) error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	abi, err := ABI()
	if err != nil {
		return nil //nolint:nilerr // as said
	}
	handled := n.handled(abi)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), sizeOf(abi), 0)
	if errno != 0 {
		return fmt.Errorf("landlock: make rules: %w", errno)
	}
	defer unix.Close(int(fd))
	if err := n.allow(int(fd), handled.Handled_access_fs); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("landlock: restrict: %w", errno)
	}
	return nil
}

// allow makes a rule for each thing that is needed.
func (n Needs) allow(rules int, handled uint64) error {
	for _, fd := range n.Opened {
		if err := allow(rules, fd, handled&reading); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	for _, list := range []struct {
		paths  []string
		rights uint64
	}{{n.Read, handled & reading}, {n.Write, handled & (reading | writing)}} {
		for _, path := range list.paths {
			if err := allowPath(rules, path, list.rights); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

func allowPath(rules int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return allow(rules, fd, rights)
}

// allow gives rights on what is open, and on all below it.
func allow(rules, fd int, rights uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFREG, unix.S_IFCHR:
		rights &= onFiles // EINVAL otherwise
	default:
		return nil // a pipe or socket, which is no path
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Behind are the directories that symlinks lead into: a file that is replaced there, by
// renaming another into its place, is to be found again.
func Behind(links ...string) (dirs []string) {
	for _, link := range links {
		if real, err := filepath.EvalSymlinks(link); err == nil && real != link {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	return dirs
}
