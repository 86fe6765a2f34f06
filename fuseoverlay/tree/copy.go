package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Copier copies layers on top of each other into one tree.
type Copier struct {
	// UID and GID give the owner that a copy has; nil keeps it.
	UID, GID func(uint32) (uint32, error)
	// Progress is told now and then how many bytes of Total are there; it may
	// be nil. Total is an estimate of the caller's.
	Progress func(done, total int64)
	Total    int64
	// Exact keeps what belongs to overlays, too: whiteouts and their attributes.
	Exact bool

	done      int64
	told      int64
	noReflink bool
	noCopy    bool // copy_file_range does not work here
	// links finds the first copy of a file with several names, by its inode in
	// the layer that is being copied.
	links map[uint64]string
	root  int
}

// progressStep is how many bytes go by between two reports.
const progressStep = 1 << 20

// Merge copies the layers, given as directories from the lowest up, into the
// directory root, and applies whiteouts and opaque marks on the way.
func (c *Copier) Merge(layers []int, root int) error {
	c.root = root
	for _, layer := range layers {
		c.links = map[uint64]string{}
		from, err := openDirAt(layer, ".")
		if err != nil {
			return err
		}
		err = c.mergeDir(from, root, ".")
		unix.Close(from)
		if err != nil {
			return err
		}
	}
	if c.Progress != nil {
		c.Progress(max(c.done, c.Total), max(c.done, c.Total))
	}
	return nil
}

// mergeDir copies what is in the directory from to the directory to, and then
// the directory's own attributes. name is where it is in the tree.
func (c *Copier) mergeDir(from, to int, name string) error {
	names, err := ReadNames(from)
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	for _, base := range names {
		if err := c.mergeEntry(from, to, base, path.Join(name, base)); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return fmt.Errorf("stat %q: %w", name, err)
	}
	if err := c.attributes(from, to, &st); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return setTimes(to, ".", &st)
}

// mergeEntry copies one name.
func (c *Copier) mergeEntry(from, to int, base, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("stat %q: %w", name, err)
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFDIR {
		return c.mergeSubdir(from, to, base, name)
	}
	if err := RemoveAt(to, base); err != nil {
		return fmt.Errorf("replace %q: %w", name, err)
	}
	if !c.Exact && (kind == unix.S_IFCHR || kind == unix.S_IFBLK) {
		return nil // a whiteout; layers have no other device nodes
	}
	if st.Nlink > 1 && c.link(to, base, st.Ino) {
		return nil
	}
	if err := c.copyEntry(from, to, base, &st); err != nil {
		return fmt.Errorf("copy %q: %w", name, err)
	}
	if st.Nlink > 1 {
		c.links[st.Ino] = name
	}
	return nil
}

// link makes a further name for a file that has been copied under another one.
func (c *Copier) link(to int, base string, inode uint64) bool {
	first, found := c.links[inode]
	if !found {
		return false
	}
	dir, err := unix.Openat2(c.root, path.Dir(first), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	return unix.Linkat(dir, path.Base(first), to, base, 0) == nil
}

// mergeSubdir copies a directory, in addition to the one that is there unless
// it hides that.
func (c *Copier) mergeSubdir(from, to int, base, name string) error {
	source, err := openDirAt(from, base)
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer unix.Close(source)
	var st unix.Stat_t
	err = unix.Fstatat(to, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	isDir := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	if err == nil && (!isDir || isOpaque(source)) {
		if err := RemoveAt(to, base); err != nil {
			return fmt.Errorf("replace %q: %w", name, err)
		}
		isDir = false
	}
	if !isDir {
		if err := unix.Mkdirat(to, base, 0o700); err != nil {
			return fmt.Errorf("mkdir %q: %w", name, err)
		}
	}
	target, err := openDirAt(to, base)
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer unix.Close(target)
	return c.mergeDir(source, target, name)
}

// isOpaque says that a directory hides those below it.
func isOpaque(dir int) bool {
	v, err := GetXattr(dir, "user.overlay.opaque")
	return err == nil && string(v) == "y"
}

// copyEntry copies what is no directory. Of devices only whiteouts can be made here.
func (c *Copier) copyEntry(from, to int, base string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.copyFile(from, to, base, st)
	case unix.S_IFLNK:
		return c.copySymlink(from, to, base, st)
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR:
		if err := unix.Mknodat(to, base, st.Mode, int(st.Rdev)); err != nil {
			return fmt.Errorf("mknod: %w", err)
		}
		if err := c.chown(to, base, st); err != nil {
			return err
		}
		if err := unix.Fchmodat(to, base, st.Mode&modeBits, 0); err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
		return setTimes(to, base, st)
	}
	return nil
}

func (c *Copier) copySymlink(from, to int, base string, st *unix.Stat_t) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(from, base, buf)
	if err != nil {
		return fmt.Errorf("readlink: %w", err)
	}
	if err := unix.Symlinkat(string(buf[:n]), to, base); err != nil {
		return fmt.Errorf("symlink: %w", err)
	}
	if err := c.chown(to, base, st); err != nil {
		return err
	}
	return setTimes(to, base, st)
}

// copyFile copies a regular file.
func (c *Copier) copyFile(from, to int, base string, st *unix.Stat_t) error {
	source, err := unix.Openat(from, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(source)
	target, err := unix.Openat(to, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer unix.Close(target)
	if err := c.content(source, target, st); err != nil {
		return err
	}
	if err := c.attributes(source, target, st); err != nil {
		return err
	}
	c.report(st.Size)
	return setTimes(to, base, st)
}

// report adds to what is done.
func (c *Copier) report(n int64) {
	c.done += n
	if c.Progress != nil && c.done-c.told >= progressStep {
		c.told = c.done
		c.Progress(c.done, max(c.done, c.Total))
	}
}

// attributes copies owner, extended attributes and mode.
func (c *Copier) attributes(from, to int, st *unix.Stat_t) error {
	uid, gid, err := c.owner(st)
	if err != nil {
		return err
	}
	keep := Filter(NotOverlays)
	if c.Exact {
		keep = func(string) bool { return true }
	}
	return setAttributes(from, to, st, uid, gid, keep)
}

// chown sets the owner of a name, not following it.
func (c *Copier) chown(dir int, base string, st *unix.Stat_t) error {
	uid, gid, err := c.owner(st)
	if err != nil {
		return err
	}
	if err := unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", uid, gid, err)
	}
	return nil
}

// owner is the one that a copy has.
func (c *Copier) owner(st *unix.Stat_t) (uid, gid int, err error) {
	u, g := st.Uid, st.Gid
	if c.UID != nil {
		if u, err = c.UID(u); err != nil {
			return 0, 0, err
		}
	}
	if c.GID != nil {
		if g, err = c.GID(g); err != nil {
			return 0, 0, err
		}
	}
	return int(u), int(g), nil
}

func openDirAt(dir int, base string) (int, error) {
	return unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// ReadNames lists a directory; the descriptor stays the caller's.
func ReadNames(dir int) ([]string, error) {
	fd, err := openDirAt(dir, ".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
