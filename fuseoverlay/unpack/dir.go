package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rootlet/fuseoverlay/tree"

	"golang.org/x/sys/unix"
)

const (
	// dirModeWhileUnpacking keeps others out, and no group or set-group-ID bit
	// in, until every file is there.
	dirModeWhileUnpacking = 0o700
	// impliedDirMode is for directories that no entry describes.
	impliedDirMode = 0o755
)

// directory is what is still to be done to a directory once all its files are
// there: they would change its time, and could not be made if it were read-only.
type directory struct {
	implied  bool // no entry has described it
	opaque   bool // hides what the layers below have in it
	replaces bool // has nothing to do with the one below
	mode     uint32
	owner    owner
	mtime    unix.Timespec
	xattrs   []Xattr
}

// describe takes over what the entry says of the directory.
func (d *directory) describe(u *unpacker, h *tar.Header) error {
	xattrs, err := u.xattrs(h)
	if err != nil {
		return err
	}
	d.implied = false
	d.mode = uint32(h.Mode) & modeBits
	d.owner = ownerOf(h)
	d.mtime = mtimeOf(h)
	d.xattrs = xattrs
	return nil
}

// dirAt is the record of a directory that exists.
func (u *unpacker) dirAt(name string) *directory {
	d := u.dirs[name]
	if d == nil {
		// Made under another name, through a symlink.
		d = u.implied()
		u.dirs[name] = d
	}
	return d
}

// implied describes a directory that no entry has described yet. It gets the
// time of the entry that needs it, so that an image looks the same each time.
func (u *unpacker) implied() *directory {
	return &directory{implied: true, mode: impliedDirMode, mtime: u.mtime}
}

// directory makes the directory of an entry, or adds to the one that is there.
func (u *unpacker) directory(h *tar.Header, at place) error {
	if err := u.makeDir(at); err != nil {
		return err
	}
	return u.dirAt(at.name).describe(u, h)
}

// makeDir makes a directory unless it exists. One that takes the place of
// something else that this layer has said about the name, a whiteout above all,
// hides what the layers below have there.
func (u *unpacker) makeDir(at place) error {
	err := unix.Mkdirat(at.dir, at.base, dirModeWhileUnpacking)
	if err == nil {
		u.dirs[at.name] = u.implied()
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("mkdir: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(at.dir, at.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil
	}
	if err := u.clear(at); err != nil {
		return err
	}
	if err := unix.Mkdirat(at.dir, at.base, dirModeWhileUnpacking); err != nil {
		return fmt.Errorf("mkdir: %w", err)
	}
	d := u.implied()
	d.opaque, d.replaces = true, true
	u.dirs[at.name] = d
	return nil
}

// clear removes what is there under the name, whatever it is.
func (u *unpacker) clear(at place) error {
	// Both the cached parent and the records may lie below it.
	u.forgetParentUnless(at.dir)
	prefix := at.name + "/"
	if _, isDir := u.dirs[at.name]; isDir {
		for name := range u.dirs {
			if name == at.name || strings.HasPrefix(name, prefix) {
				delete(u.dirs, name)
			}
		}
	}
	if err := tree.RemoveAt(at.dir, at.base); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	return nil
}

// finishDirs gives every directory its owner, attributes, mode and time,
// children before parents.
func (u *unpacker) finishDirs() error {
	names := make([]string, 0, len(u.dirs))
	for name := range u.dirs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	u.forgetParent()
	for _, name := range names {
		if name == "." {
			continue
		}
		if err := u.finishDir(name, u.dirs[name]); err != nil {
			return fmt.Errorf("directory %q: %w", shorten(name), err)
		}
	}
	u.forgetParent()
	if err := u.dress(u.root, u.dirs["."]); err != nil {
		return fmt.Errorf("root of the layer: %w", err)
	}
	if u.dirs["."].implied {
		u.result.Implied = append(u.result.Implied, ".")
	}
	return setTimes(u.root, ".", u.dirs["."].mtime)
}

// finishDir does so for one of them. One that is no longer there, because a
// symlink on the way to it was replaced, is nobody's loss.
func (u *unpacker) finishDir(name string, d *directory) error {
	dir, base := split(name)
	if dir != u.parent.name {
		fd, err := openInRoot(u.root, dir)
		if isGone(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open parent: %w", err)
		}
		u.setParent(dir, fd)
	}
	fd, err := unix.Openat(u.parent.fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	if err := u.dress(fd, d); err != nil {
		return err
	}
	if d.implied && !d.replaces {
		u.result.Implied = append(u.result.Implied, name)
	}
	return setTimes(u.parent.fd, base, d.mtime)
}

// dress sets all but the time. The owner comes first: chown drops capabilities
// and set-ID bits.
func (u *unpacker) dress(fd int, d *directory) error {
	if err := u.chown(fd, "", d.owner); err != nil {
		return err
	}
	if err := u.setXattrs(fd, d.xattrs); err != nil {
		return err
	}
	u.recordOwner(fd, d.owner)
	if d.opaque {
		if err := unix.Fsetxattr(fd, OpaqueXattr, []byte("y"), 0); err != nil {
			return fmt.Errorf("mark as opaque (%s; the file system must support user extended attributes): %w", OpaqueXattr, err)
		}
	}
	if err := unix.Fchmod(fd, d.mode); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

// isGone says that a name leads to no directory (any more).
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
