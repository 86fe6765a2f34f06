package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// Differs compares two trees, open as directories, by all that a layer can say of
// a file but when it was last read, and returns the path of the first thing that
// differs; empty: nothing does. No more than two directories are open at a time,
// however deep they go.
func Differs(one, other int) (string, error) {
	if same, err := sameAttributes(one, other, ""); !same || err != nil {
		return ".", err
	}
	for todo := []string{"."}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		subdirs, at, err := differsIn(one, other, dir)
		if at != "" || err != nil {
			return at, err
		}
		todo = append(todo[:len(todo)-1], subdirs...)
	}
	return "", nil
}

// differsIn compares one directory's entries, and lists the directories in it.
func differsIn(one, other int, dir string) (subdirs []string, at string, err error) {
	a, err := openBelow(one, dir)
	if err != nil {
		return nil, "", err
	}
	defer unix.Close(a)
	b, err := openBelow(other, dir)
	if err != nil {
		return nil, "", err
	}
	defer unix.Close(b)
	names, err := ReadNames(a)
	if err != nil {
		return nil, "", err
	}
	others, err := ReadNames(b)
	if err != nil {
		return nil, "", err
	}
	slices.Sort(names)
	slices.Sort(others)
	for i, name := range names {
		here := path.Join(dir, name)
		if i >= len(others) || others[i] != name {
			return nil, here, nil
		}
		isDir, same, err := sameEntries(a, b, name)
		if err != nil {
			return nil, "", fmt.Errorf("%q: %w", here, err)
		}
		if !same {
			return nil, here, nil
		}
		if isDir {
			subdirs = append(subdirs, here)
		}
	}
	if len(others) > len(names) {
		return nil, path.Join(dir, others[len(names)]), nil
	}
	return subdirs, "", nil
}

func openBelow(root int, dir string) (int, error) {
	fd, err := unix.Openat2(root, dir, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return fd, nil
}

func sameEntries(a, b int, name string) (isDir, same bool, err error) {
	if same, err = sameAttributes(a, b, name); !same || err != nil {
		return false, same, err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(a, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, false, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		isDir, same = true, true
	case unix.S_IFLNK:
		same, err = sameLinks(a, b, name)
	case unix.S_IFREG:
		same, err = sameFiles(a, b, name)
	default:
		same = true
	}
	return isDir, same, err
}

// sameAttributes compares what stat(2) says; with an empty name of the
// directories themselves.
func sameAttributes(a, b int, name string) (bool, error) {
	var stats [2]unix.Stat_t
	for i, dir := range []int{a, b} {
		if err := unix.Fstatat(dir, name, &stats[i], unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH); err != nil {
			return false, err
		}
	}
	x, y := &stats[0], &stats[1]
	if isWhiteout(x) && isWhiteout(y) {
		return true, nil // no archive says anything of it but its name
	}
	if x.Mode != y.Mode || x.Uid != y.Uid || x.Gid != y.Gid || x.Rdev != y.Rdev || x.Mtim != y.Mtim {
		return false, nil
	}
	if x.Mode&unix.S_IFMT != unix.S_IFDIR {
		return x.Size == y.Size && x.Nlink == y.Nlink, nil
	}
	if name == "" {
		return sameXattrs(a, b)
	}
	return withBoth(a, b, name, unix.O_DIRECTORY, sameXattrs)
}

// isWhiteout says that a file is the device that hides a name in layers below.
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// withBoth calls compare with a file of both directories open.
func withBoth(a, b int, name string, flags int, compare func(a, b int) (bool, error)) (bool, error) {
	var fds [2]int
	for i, dir := range []int{a, b} {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|flags, 0)
		if err != nil {
			return false, err
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	return compare(fds[0], fds[1])
}

func sameXattrs(a, b int) (bool, error) {
	names, err := ListXattrs(a)
	if err != nil {
		return false, err
	}
	others, err := ListXattrs(b)
	if err != nil {
		return false, err
	}
	slices.Sort(names)
	slices.Sort(others)
	if !slices.Equal(names, others) {
		return false, nil
	}
	for _, name := range names {
		x, err := GetXattr(a, name)
		if err != nil {
			return false, err
		}
		y, err := GetXattr(b, name)
		if err != nil || !bytes.Equal(x, y) {
			return false, err
		}
	}
	return true, nil
}

func sameLinks(a, b int, name string) (bool, error) {
	var targets [2]string
	for i, dir := range []int{a, b} {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return false, err
		}
		targets[i] = string(buf[:n])
	}
	return targets[0] == targets[1], nil
}

func sameFiles(a, b int, name string) (bool, error) {
	return withBoth(a, b, name, 0, func(x, y int) (bool, error) {
		if same, err := sameXattrs(x, y); !same || err != nil {
			return same, err
		}
		return sameBytes(x, y)
	})
}

func sameBytes(x, y int) (bool, error) {
	a, err := duplicate(x)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := duplicate(y)
	if err != nil {
		return false, err
	}
	defer b.Close()
	return SameBytes(a, b)
}

// SameBytes compares two files from where they stand to their ends.
func SameBytes(a, b io.Reader) (bool, error) {
	const size = 128 << 10
	bufA, bufB := make([]byte, size), make([]byte, size)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		endA, endB := isEnd(errA), isEnd(errB)
		if endA && endB {
			return true, nil
		}
		if !endA && errA != nil || !endB && errB != nil {
			return false, errors.Join(errA, errB)
		}
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
