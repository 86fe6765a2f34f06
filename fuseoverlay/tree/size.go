package tree

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxDepth is how deep Size looks: each level keeps a descriptor open. What
// someone hides deeper does not count.
const maxDepth = 500

// ErrTooDeep says that a tree goes deeper than can be followed.
var ErrTooDeep = fmt.Errorf("directories are nested more than %d deep", maxDepth)

// Size adds up the sizes of the files below base in the directory dir, as
// Docker does: a file with several names counts once, directories do not. It
// counts those that counts says yes to; nil counts all. The tree may change
// meanwhile; what is gone when it is looked at does not count.
func Size(dir int, base string, counts func(*unix.Stat_t) bool) (int64, error) {
	s := sizer{counts: counts, linked: map[inode]struct{}{}}
	err := s.addDir(dir, base, 0)
	return s.sum, err
}

// Allocated adds up what files and directories below base take of the disk, which for a
// file with holes is less than its size. Nothing can be kept from it: it is ErrTooDeep
// where Size would leave something out.
func Allocated(dir int, base string, counts func(*unix.Stat_t) bool) (int64, error) {
	s := sizer{counts: counts, linked: map[inode]struct{}{}, blocks: true}
	err := s.addDir(dir, base, 0)
	return s.sum, err
}

type inode struct{ dev, ino uint64 }

type sizer struct {
	counts func(*unix.Stat_t) bool
	linked map[inode]struct{} // files with several names that have been counted
	sum    int64
	blocks bool // what is added up: space on the disk, or sizes
}

func (s *sizer) addDir(dir int, base string, depth int) error {
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // O_NOATIME is for the owner
		fd, err = unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return ignoreMissing(err)
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	for {
		const batch = 1024
		names, err := f.Readdirnames(batch)
		for _, name := range names {
			if err := s.add(fd, name, depth); err != nil {
				return err
			}
		}
		if len(names) == 0 || err != nil {
			return nil
		}
	}
}

func (s *sizer) add(dir int, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreMissing(err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if depth == maxDepth {
			if s.blocks {
				return ErrTooDeep
			}
			return nil
		}
		if s.blocks {
			s.count(&st)
		}
		err := s.addDir(dir, name, depth+1)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil // it is something else by now
		}
		return err
	}
	if st.Nlink > 1 {
		key := inode{st.Dev, st.Ino}
		if _, seen := s.linked[key]; seen {
			return nil
		}
		s.linked[key] = struct{}{}
	}
	s.count(&st)
	return nil
}

// blockSize is the unit of st_blocks (stat(2)).
const blockSize = 512

func (s *sizer) count(st *unix.Stat_t) {
	switch {
	case s.counts != nil && !s.counts(st):
	case s.blocks:
		s.sum += st.Blocks * blockSize
	default:
		s.sum += st.Size
	}
}
