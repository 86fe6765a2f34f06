package landlock

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The rights that Needs are made of.
const (
	reading = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writing = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	// onFiles are those that a rule about a file may have.
	onFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// leastABI is the first that lets a file be renamed into another directory.
const leastABI = 2

// fsRights are all rights of the file system as of an ABI: each has those before it.
var fsRights = [...]struct {
	abi    int
	rights uint64
}{
	{1, unix.LANDLOCK_ACCESS_FS_REFER - 1},
	{2, unix.LANDLOCK_ACCESS_FS_REFER},
	{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
	{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	{9, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX},
}

// FileRights are all rights of the file system (LANDLOCK_ACCESS_FS_) that an ABI knows.
func FileRights(abi int) (known uint64) {
	for _, r := range fsRights {
		if r.abi <= abi {
			known |= r.rights
		}
	}
	return known
}

// handled is what the process gives up, but where a rule allows it.
func (n Needs) handled(abi int) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Handled_access_fs: FileRights(abi)}
	if n.Sockets {
		a.Handled_access_fs &^= unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	}
	if abi >= 4 && !n.Connect {
		a.Handled_access_net |= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if abi >= 4 && !n.Bind {
		a.Handled_access_net |= unix.LANDLOCK_ACCESS_NET_BIND_TCP
	}
	if abi >= 6 {
		// Not LANDLOCK_SCOPE_SIGNAL: each thread has a domain of its own, and before
		// Linux 6.15 Go's runtime could not signal its own threads over it.
		a.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	return a
}

// sizeOf is how much of the attributes a kernel knows; it refuses longer ones that
// are not 0 at the end, and so would be right about any.
func sizeOf(abi int) uintptr {
	var a unix.LandlockRulesetAttr
	switch {
	case abi >= 6:
		return unsafe.Offsetof(a.Quiet_access_fs)
	case abi >= 4:
		return unsafe.Offsetof(a.Scoped)
	}
	return unsafe.Offsetof(a.Handled_access_net)
}

// ABI is the version of Landlock that the kernel has, or why it has none.
func ABI() (int, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return judge(int(version), errno)
}

func judge(version int, errno syscall.Errno) (int, error) {
	switch {
	case errno == unix.ENOSYS:
		return 0, errors.New("this kernel has no Landlock, or something forbids to ask it")
	case errno == unix.EOPNOTSUPP:
		return 0, errors.New("the kernel's lsm= at boot does not name landlock")
	case errno != 0:
		return 0, fmt.Errorf("ask for Landlock: %w", errno)
	case version < leastABI:
		return 0, fmt.Errorf("the Landlock of ABI %d lets nothing be renamed into another directory (Linux 5.19 does)", version)
	}
	return version, nil
}
