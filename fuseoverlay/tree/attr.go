package tree

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Filter says whether an extended attribute is copied.
type Filter func(name string) bool

// NotOverlays keeps back what marks a directory as part of an overlay.
func NotOverlays(name string) bool {
	return !strings.HasPrefix(name, "user.overlay.") &&
		!strings.HasPrefix(name, "user.fuseoverlayfs.") &&
		!strings.HasPrefix(name, "trusted.")
}

// notFileSystems keeps back what a file system shows of itself as attributes, as NFS its
// lists of access (system.nfs4_acl): no other has such.
func notFileSystems(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "system.posix_acl_")
}

// CopyAttributes gives the directory open as to all that the one open as from
// has: owner, extended attributes, mode and time.
func CopyAttributes(from, to int, keep Filter) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if err := setAttributes(from, to, &st, int(st.Uid), int(st.Gid), keep); err != nil {
		return err
	}
	return setTimes(to, ".", &st)
}

// setAttributes sets all but the times, in the order that lets each last: chown
// drops capabilities and set-ID bits.
func setAttributes(from, to int, st *unix.Stat_t, uid, gid int, keep Filter) error {
	if err := unix.Fchown(to, uid, gid); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", uid, gid, err)
	}
	if err := copyXattrs(from, to, keep); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&modeBits); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

const modeBits = 0o7777

// setTimes sets the times of base in the directory dir, not following it.
func setTimes(dir int, base string, st *unix.Stat_t) error {
	err := unix.UtimesNanoAt(dir, base, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// copyXattrs copies attributes between open files. Those that the file system
// underneath sets by itself may be refused; of the rest none is lost.
func copyXattrs(from, to int, keep Filter) error {
	names, err := ListXattrs(from)
	if err != nil {
		return fmt.Errorf("list xattrs: %w", err)
	}
	for _, name := range names {
		if !keep(name) {
			continue
		}
		value, err := GetXattr(from, name)
		if err != nil {
			return fmt.Errorf("get xattr %s: %w", name, err)
		}
		err = unix.Fsetxattr(to, name, value, 0)
		if err != nil && !strings.HasPrefix(name, "security.selinux") {
			return fmt.Errorf("set xattr %s: %w", name, err)
		}
	}
	return nil
}

// ListXattrs lists the names of an open file's attributes.
func ListXattrs(fd int) ([]string, error) {
	n, err := unix.Flistxattr(fd, nil)
	if errors.Is(err, unix.ENOTSUP) || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	if n, err = unix.Flistxattr(fd, buf); err != nil {
		return nil, err
	}
	// fuse-overlayfs counts its own at first, and then lists the others, if any.
	return strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 }), nil
}

// GetXattr reads one attribute of an open file.
func GetXattr(fd int, name string) ([]byte, error) {
	n, err := unix.Fgetxattr(fd, name, nil)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	n, err = unix.Fgetxattr(fd, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
