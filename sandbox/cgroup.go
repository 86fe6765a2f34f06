package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// cgroup is a control group (v2) of the container's own, below the one that its
// monitor was started in, where that is the user's to divide: systemd's user
// units with Delegate=yes are (cgroups(7), "Delegation"). Limits come with it; so
// far it holds the processes together, freezes them, and counts those killed for
// want of memory. A nil cgroup is one that this host does not give.
type cgroup struct {
	dir   string
	procs *os.File // for the first process to enter it by
}

// ownCgroup makes the container's, or returns nil.
func ownCgroup(id string) *cgroup {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	path, ok := v2Path(string(text))
	if !ok {
		return nil
	}
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(mount, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		return makeCgroup(filepath.Join(mount, path), "rootlet-"+id[:12])
	}
	return nil
}

// makeCgroup makes a group below parent, where a process may be moved to it: that
// takes the right to write to the cgroup.procs of both.
func makeCgroup(parent, name string) *cgroup {
	if unix.Access(filepath.Join(parent, "cgroup.procs"), unix.W_OK) != nil {
		return nil
	}
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil
	}
	procs, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		_ = unix.Rmdir(dir)
		return nil
	}
	return &cgroup{dir, procs}
}

// removeLeftCgroup takes away the group that a container's last life has left, its
// monitor having been killed. The record says where; the name says that it is it.
func removeLeftCgroup(s record.State, id string) {
	if filepath.Base(s.Cgroup) == "rootlet-"+id[:12] {
		(&cgroup{dir: s.Cgroup}).remove()
	}
}

// v2Path finds the v2 group among the lines of /proc/PID/cgroup: "0::/path".
func v2Path(text string) (string, bool) {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "0::/"); ok {
			return strings.TrimSpace(path), true
		}
	}
	return "", false
}

// directory is for the record; empty where there is none.
func (c *cgroup) directory() string {
	if c == nil {
		return ""
	}
	return c.dir
}

// has reports whether a process is in the group, by the number that /proc gives it.
func (c *cgroup) has(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	path, _ := v2Path(string(text))
	return strings.Contains("/"+path+"/", "/"+filepath.Base(c.dir)+"/")
}

// freezeWait is how long the kernel may take to stop every process.
const freezeWait = 10 * time.Second

// freeze stops all processes of the group or lets them go on, and waits until the
// kernel says that it is so.
func (c *cgroup) freeze(frozen bool) error {
	want := map[bool]string{true: "1", false: "0"}[frozen]
	if err := os.WriteFile(filepath.Join(c.dir, "cgroup.freeze"), []byte(want), 0); err != nil {
		return err
	}
	// cgroup.events tells of a change by POLLPRI.
	file, err := os.Open(filepath.Join(c.dir, "cgroup.events"))
	if err != nil {
		return err
	}
	defer file.Close()
	for deadline := time.Now().Add(freezeWait); ; {
		text := make([]byte, 256)
		n, err := file.ReadAt(text, 0)
		if n == 0 && err != nil {
			return err
		}
		if countOf(string(text[:n]), "frozen") == map[bool]int{true: 1, false: 0}[frozen] {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("its processes have not stopped within %v", freezeWait)
		}
		poll := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLPRI}}
		_, _ = unix.Poll(poll, int(left.Milliseconds())+1)
	}
}

// oomKills counts the processes of the group that were killed for want of memory.
// It is false where the memory controller is not there to count.
func (c *cgroup) oomKills() (int, bool) {
	if c == nil {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "memory.events"))
	return countOf(string(text), "oom_kill"), err == nil
}

// remove takes the group away. Its last process is gone; the kernel may need a
// moment to notice.
func (c *cgroup) remove() {
	if c == nil {
		return
	}
	for range 20 {
		if err := unix.Rmdir(c.dir); !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
