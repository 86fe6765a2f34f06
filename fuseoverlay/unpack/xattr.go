package unpack

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// paxXattr is how star, GNU tar and every image builder spell an attribute.
const paxXattr = "SCHILY.xattr."

const capabilityXattr = "security.capability"

// Xattr is one attribute to set.
type Xattr struct {
	Name  string
	Value []byte
}

// Xattrs are the attributes of an entry that an image may set, by name, and how
// many more it has.
func Xattrs(h *tar.Header) (list []Xattr, skipped int, err error) {
	for key, value := range h.PAXRecords {
		name, isXattr := strings.CutPrefix(key, paxXattr)
		if !isXattr {
			continue
		}
		if !AllowedXattr(name) {
			skipped++
			continue
		}
		raw := []byte(value)
		if name == capabilityXattr {
			if raw, err = rootlessCapability(raw); err != nil {
				return nil, skipped, err
			}
		}
		list = append(list, Xattr{Name: name, Value: raw})
	}
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, skipped, nil
}

// xattrs are those of an entry; what it may not set is counted.
func (u *unpacker) xattrs(h *tar.Header) ([]Xattr, error) {
	list, skipped, err := Xattrs(h)
	u.result.SkippedXattrs += skipped
	return list, err
}

// AllowedXattr says which attributes an image may set. Those of the overlay drivers
// would hide or redirect files of the layers below, or give a file another
// owner and mode than it has; labels and trusted.* are the host's.
func AllowedXattr(name string) bool {
	switch name {
	case capabilityXattr, "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	for _, prefix := range []string{"user.overlay.", "user.fuseoverlayfs.", "user.containers.", "user.rootlet."} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return strings.HasPrefix(name, "user.")
}

// rootlessCapability makes file capabilities valid in this user namespace: the
// kernel adds the namespace's root id to the form without one
// (VFS_CAP_REVISION_2, capabilities(7) "File capability extended attribute
// versioning"), so one that the image brings is cut off.
func rootlessCapability(v []byte) ([]byte, error) {
	const (
		revisionMask = 0xff000000
		revision2    = 0x02000000
		revision3    = 0x03000000
		size2        = 20
		size3        = 24
	)
	if len(v) < size2 {
		return nil, errors.New("malformed file capabilities")
	}
	magic := binary.LittleEndian.Uint32(v)
	switch {
	case magic&revisionMask == revision2 && len(v) == size2:
		return v, nil
	case magic&revisionMask == revision3 && len(v) == size3:
		out := slices.Clone(v[:size2])
		binary.LittleEndian.PutUint32(out, magic&^uint32(revisionMask)|revision2)
		return out, nil
	}
	return nil, errors.New("malformed file capabilities")
}

// setXattrs sets the attributes of an open file. Capabilities must be had; of
// the others, those that the file system cannot hold are counted.
func (u *unpacker) setXattrs(fd int, xattrs []Xattr) error {
	for _, x := range xattrs {
		err := unix.Fsetxattr(fd, x.Name, x.Value, 0)
		if err == nil {
			continue
		}
		if x.Name == capabilityXattr {
			return fmt.Errorf("set file capabilities: %w", err)
		}
		u.result.SkippedXattrs++
	}
	return nil
}
