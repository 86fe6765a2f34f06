package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OwnerXattr records, as "uid:gid", the owner that a file should have, where
// only one id is mapped and it cannot have it.
const OwnerXattr = "user.rootlet.owner"

// owner is that of an entry, in the ids of the image.
type owner struct{ uid, gid int }

func ownerOf(h *tar.Header) owner { return owner{uid: h.Uid, gid: h.Gid} }

// isRoot says that the owner is the one that new files have anyway: this
// process is uid and gid 0 of its user namespace.
func (o owner) isRoot() bool { return o == owner{} }

// chown gives base in dir, or with no base the file open as dir, to its owner.
func (u *unpacker) chown(dir int, base string, o owner) error {
	if u.opts.OneID || o.isRoot() {
		return nil
	}
	var err error
	if base == "" {
		err = unix.Fchown(dir, o.uid, o.gid)
	} else {
		err = unix.Fchownat(dir, base, o.uid, o.gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if errors.Is(err, unix.EINVAL) {
		// user_namespaces(7): an id that the namespace does not map.
		return &UnmappedError{UID: o.uid, GID: o.gid}
	}
	if err != nil {
		return fmt.Errorf("chown to %d:%d: %w", o.uid, o.gid, err)
	}
	return nil
}

// recordOwner keeps the owner in mind where it cannot be had.
func (u *unpacker) recordOwner(fd int, o owner) {
	if !u.opts.OneID || o.isRoot() {
		return
	}
	if err := RecordOwner(fd, o.uid, o.gid); err != nil {
		u.result.SkippedXattrs++
	}
}

// RecordOwner keeps in mind whose an open file should be.
func RecordOwner(fd, uid, gid int) error {
	return unix.Fsetxattr(fd, OwnerXattr, []byte(OwnerText(uid, gid)), 0)
}

// OwnerText is the value for an owner.
func OwnerText(uid, gid int) string { return strconv.Itoa(uid) + ":" + strconv.Itoa(gid) }

// ParseOwner reads it; any program of a container's may have written it.
func ParseOwner(text string) (uid, gid int, ok bool) {
	u, g, _ := strings.Cut(text, ":")
	first, errFirst := strconv.ParseUint(u, 10, 32)
	second, errSecond := strconv.ParseUint(g, 10, 32)
	const unset = 1<<32 - 1
	return int(first), int(second), errFirst == nil && errSecond == nil && first != unset && second != unset
}

// UnmappedError says that an owner in the image has no counterpart among the
// user's subordinate ids.
type UnmappedError struct{ UID, GID int }

func (e *UnmappedError) Error() string {
	return fmt.Sprintf("owner %d:%d is beyond the subordinate ids of this user: an administrator must give at least %d of them (/etc/subuid, /etc/subgid)",
		e.UID, e.GID, max(e.UID, e.GID))
}

// currentUmask reads the umask without changing it, which umask(2) cannot; the
// line is there since Linux 4.7. All bits mean that it is not known.
func currentUmask() uint32 {
	const unknown = 0o777
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return unknown
	}
	_, rest, found := strings.Cut(string(status), "\nUmask:")
	if !found {
		return unknown
	}
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil {
		return unknown
	}
	return uint32(mask)
}
