package unpack

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// OpaqueXattr marks a directory that hides what the layers below have under
// the same name. Both the kernel's overlay, mounted with userxattr, and
// fuse-overlayfs heed it.
const OpaqueXattr = "user.overlay.opaque"

// whiteout hides at.base of the layers below. It says nothing about what this
// layer itself has there, before it in the archive or after (OCI image
// specification, layer.md), but that a directory then hides what is below.
func (u *unpacker) whiteout(at place) error {
	err := unix.Mknodat(at.dir, at.base, unix.S_IFCHR, 0)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		// Linux 5.8 lets everyone make the device 0:0, which no driver has.
		return fmt.Errorf("whiteout (needs Linux 5.8 and a file system that is not mounted from elsewhere): %w", err)
	case !errors.Is(err, unix.EEXIST):
		return fmt.Errorf("whiteout: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(at.dir, at.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		dir, _ := split(at.name)
		d := u.dirAt(path.Join(dir, at.base))
		d.opaque, d.replaces = true, true
	}
	return nil
}

// isWhiteout says that a file is one. Archives cannot bring such a device:
// device nodes are skipped.
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}
