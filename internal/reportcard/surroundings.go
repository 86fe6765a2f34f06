package reportcard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// inherited are the descriptors that came through execve(2): no program of Go's opens one
// that would not be closed there, so that what the runtime holds open is told apart.
func inherited() []string {
	found := []string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		found = append(found, e.Name()+" "+target)
	}
	return found
}

// processes are the others that can be seen.
func processes(c *Card) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	c.Processes = []string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if status, err := statusOf(e.Name()); err == nil {
			c.Processes = append(c.Processes, status["Name"])
		}
	}
	return nil
}

// mounts has for each path the one on top.
func mounts(c *Card) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	top := map[string]Mount{}
	for line := range strings.Lines(string(text)) {
		head, tail, ok := strings.Cut(line, " - ")
		of, kind := strings.Fields(head), strings.Fields(tail)
		if !ok || len(of) < 6 || len(kind) < 3 {
			return fmt.Errorf("mountinfo: %q", line)
		}
		m := Mount{Path: of[4], Type: kind[0], Flags: []string{}}
		options := strings.Split(of[5], ",")
		for _, flag := range mountFlags {
			if slices.Contains(options, flag) || flag == "ro" && slices.Contains(strings.Split(kind[2], ","), flag) {
				m.Flags = append(m.Flags, flag)
			}
		}
		top[m.Path] = m
	}
	for _, path := range sortedKeys(top) {
		c.Mounts = append(c.Mounts, top[path])
	}
	return nil
}

var mountFlags = []string{"ro", "nosuid", "nodev", "noexec"}

// kernelFiles tries to open all there is below /proc and /sys. Nothing is read or written:
// that may take long or do harm, and the permission to open says it all.
func kernelFiles(c *Card) error {
	c.Readable, c.Writable = []string{}, []string{}
	for _, base := range []string{"/proc", "/sys"} {
		err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil // a directory that is closed
			}
			if e.IsDir() {
				if _, err := strconv.Atoi(e.Name()); err == nil && filepath.Dir(path) == "/proc" {
					return fs.SkipDir
				}
				return nil
			}
			// What is mounted over a file has another type than its directory says.
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				return nil
			}
			if opens(path, unix.O_RDONLY) {
				c.Readable = append(c.Readable, path)
			}
			if opens(path, unix.O_WRONLY) {
				c.Writable = append(c.Writable, path)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func opens(path string, how int) bool {
	fd, err := unix.Open(path, how|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// devices are those of /dev that may be opened, with their numbers and what is allowed.
func devices(c *Card) error {
	c.Devices = []string{}
	return filepath.WalkDir("/dev", func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err != nil || unix.Lstat(path, &st) != nil {
			return nil
		}
		kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b"}[st.Mode&unix.S_IFMT]
		if kind == "" {
			return nil
		}
		for _, access := range []struct {
			name string
			mode uint32
		}{{"read", unix.R_OK}, {"write", unix.W_OK}} {
			if unix.Faccessat(unix.AT_FDCWD, path, access.mode, 0) == nil {
				c.Devices = append(c.Devices, fmt.Sprintf("%s %s %d:%d %s", path, kind, unix.Major(st.Rdev), unix.Minor(st.Rdev), access.name))
			}
		}
		return nil
	})
}

func keys(c *Card) error {
	c.Keys = []string{}
	text, err := os.ReadFile("/proc/keys")
	if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(text)) {
		c.Keys = append(c.Keys, strings.TrimSpace(line))
	}
	return nil
}
