package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// family are the processes that descend from this one and were not there at its
// start, with those whose parents are gone: monitors leave their makers behind, and
// come to us because we are a subreaper (prctl(2)).
type family struct {
	before map[int]bool
}

func startFamily() (family, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return family{}, fmt.Errorf("become a subreaper: %w", err)
	}
	return family{descendants()}, nil
}

func (f family) members() (pids []int) {
	for pid := range descendants() {
		if !f.before[pid] {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// close waits for those that have come to us and ended.
func (f family) close() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for _, pid := range f.members() {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

func descendants() map[int]bool {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			parent := parentOf(pid)
			children[parent] = append(children[parent], pid)
		}
	}
	found := map[int]bool{}
	for queue := []int{os.Getpid()}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			found[child] = true
			queue = append(queue, child)
		}
	}
	return found
}

func parentOf(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	parent, _ := strconv.Atoi(field(string(status), "PPid:"))
	return parent
}

// field is the value of the first line of a file of /proc with this name.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// processName is the name under which a process was started: stages of one binary
// differ by that alone.
func processName(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "gone"
	}
	name, _, _ := strings.Cut(string(line), "\x00")
	return filepath.Base(name)
}

// size is PSS in MiB, by what it is mapped from.
type size map[string]float64

func (s size) total() (mib float64) {
	for _, part := range s {
		mib += part
	}
	return mib
}

func (s size) plus(other size) size {
	sum := maps.Clone(s)
	if sum == nil {
		sum = size{}
	}
	for name, mib := range other {
		sum[name] += mib
	}
	return sum
}

// String names the parts that count, the largest first.
func (s size) String() string {
	names := slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		if s[a] > s[b] {
			return -1
		}
		return 1
	})
	var parts []string
	for _, name := range names {
		if s[name] >= 0.005 {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, s[name]))
		}
	}
	return strings.Join(parts, " + ")
}

// sizeOfProcess reads /proc/PID/smaps (proc_pid_smaps(5)).
func sizeOfProcess(pid int) (size, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil // gone, or about to be
	}
	if err != nil {
		return nil, err
	}
	s, kind := size{}, ""
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if v, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			if err != nil {
				return nil, fmt.Errorf("smaps of process %d: %w", pid, err)
			}
			s[kind] += kib / 1024
		} else if len(f) >= 5 && strings.Contains(f[0], "-") {
			kind = kindOf(f)
		}
	}
	return s, nil
}

// kindOf says what a mapping is, from the fields of its first line.
func kindOf(f []string) string {
	if len(f) < 6 || strings.HasPrefix(f[5], "[anon") {
		return "anonymous"
	}
	name := filepath.Base(f[5])
	switch {
	case f[5][0] == '[':
		return strings.Trim(name, "[]")
	case strings.Contains(name, ".so"):
		return "libraries"
	case strings.HasPrefix(f[5], "/memfd:"):
		return "its program"
	case strings.Contains(f[1], "w"):
		return "its binary's data"
	}
	return "its binary"
}
