package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/archive"
)

// In says what is copied to a container, and where.
type In struct {
	Path string `json:"path"`
	// Archive says that the source is an archive of the user's: its owners and
	// modes are those that it names.
	Archive bool `json:"archive,omitempty"`
	// KeepOwner says that the source's owners and set-ID bits are kept; else all
	// becomes container root's.
	KeepOwner bool `json:"keepOwner,omitempty"`
	// IsDir and Base describe the source, where it is no archive.
	IsDir bool   `json:"isDir,omitempty"`
	Base  string `json:"base,omitempty"`
}

// Target is where something will be copied to.
type Target struct {
	As string `json:"as"` // what it is called there
}

// CopyIn makes the files of an archive in the container. ready is told what the
// archive's top is to be called, before the first byte of it is read.
func (r Root) CopyIn(ctx context.Context, in In, ready func(Target) error, from io.Reader) (archive.Extracted, error) {
	var none archive.Extracted
	t, err := r.target(in)
	if err != nil {
		return none, err
	}
	defer t.dir.Close()
	if err := r.checkKernel(t.dir.File, t.path); err != nil {
		return none, err
	}
	if err := r.checkWritable(t.dir); err != nil {
		return none, err
	}
	if err := ready(Target{As: t.as}); err != nil {
		return none, err
	}
	options := archive.ExtractOptions{Root: r.Dir, At: t.path, Owner: r.containerRoot, Modes: 0o1777}
	if in.Archive || in.KeepOwner {
		options.Owner, options.Modes, options.RecordOwners = r.owner, 0o7777, r.OneID
	}
	return archive.Extract(ctx, from, int(t.dir.Fd()), options)
}

// target is a directory of the container's and the name of the copy in it.
type target struct {
	dir  *found
	path string // of dir
	as   string
}

// target decides as docker cp does: what is copied to a directory keeps its
// name, what is copied to anything else gets that name.
func (r Root) target(in In) (target, error) {
	p := clean(in.Path)
	f, err := r.open(p, 0)
	if errors.Is(err, unix.ENOENT) && !in.Archive {
		return r.newTarget(p, in)
	}
	if err != nil {
		return target{}, r.explain(p, err)
	}
	if f.kind() == unix.S_IFDIR {
		return target{dir: f, path: p, as: in.Base}, nil
	}
	defer f.Close()
	switch {
	case in.Archive:
		return target{}, fmt.Errorf("destination %q must be a directory", r.Name+":"+in.Path)
	case f.kind() != unix.S_IFREG:
		return target{}, fmt.Errorf("destination %q must be a directory or a regular file", r.Name+":"+in.Path)
	case in.IsDir:
		return target{}, fmt.Errorf("cannot copy a directory to a file: %s:%s", r.Name, in.Path)
	}
	return r.inParent(p)
}

// newTarget is one that does not exist yet.
func (r Root) newTarget(p string, in In) (target, error) {
	if AssertsDir(p) && !in.IsDir {
		return target{}, fmt.Errorf("no such directory: %s:%s", r.Name, in.Path)
	}
	return r.inParent(path.Clean(p))
}

// inParent is the target of a copy that takes the name of a path, which may be a
// symlink to somewhere else.
func (r Root) inParent(p string) (target, error) {
	p, err := r.followLinks(p)
	if err != nil {
		return target{}, err
	}
	dir, err := r.open(path.Dir(p), unix.O_DIRECTORY)
	if err != nil {
		return target{}, r.explain(path.Dir(p), err)
	}
	return target{dir: dir, path: path.Dir(p), as: path.Base(p)}, nil
}

// checkWritable words what is else only "read-only file system".
func (r Root) checkWritable(dir *found) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil || fs.Flags&unix.ST_RDONLY == 0 {
		return err
	}
	var root unix.Stat_t
	if err := unix.Fstat(int(r.Dir.Fd()), &root); err != nil {
		return err
	}
	if root.Dev == dir.Dev {
		return errors.New("container rootfs is marked read-only")
	}
	return errors.New("mounted volume is marked read-only")
}

// containerRoot owns what the user copies in.
func (r Root) containerRoot(*tar.Header) (int, int, error) {
	uid, gid, ok := r.ToU1(0, 0)
	if !ok {
		return -1, -1, nil // whoever copies: there is nobody else
	}
	return uid, gid, nil
}

// owner is the one that the archive names.
func (r Root) owner(h *tar.Header) (int, int, error) {
	uid, gid, ok := r.ToU1(h.Uid, h.Gid)
	switch {
	case ok:
		return uid, gid, nil
	case r.OneID:
		return -1, -1, nil
	}
	return 0, 0, fmt.Errorf("owner %d:%d has no id in the container: it has as many as the user has subordinate ids", h.Uid, h.Gid)
}

// Host extracts an archive of a container's files to a directory of the user's,
// as the user: the files are his, no more permitted than umask lets them be
// unless exact is set, and never set-ID.
func Host(ctx context.Context, from io.Reader, dir *os.File, umask uint32, exact bool) (archive.Extracted, error) {
	modes := uint32(0o1777)
	if !exact {
		modes &^= umask
	}
	return archive.Extract(ctx, from, int(dir.Fd()), archive.ExtractOptions{Modes: modes, OwnLinks: true})
}
