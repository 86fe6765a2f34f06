package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// unified is a group of version 2.
type unified struct {
	dir string
}

// Own makes a group below the one that this process is in, where that is the user's to
// divide: systemd's user units with Delegate=yes are (cgroups(7), "Delegation"). It takes
// no controllers, and so no limits: it holds the processes together and freezes them. It
// is nil where the host gives none.
func Own(id string) Group {
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
		// A process may be moved where one may write to the cgroup.procs of both.
		parent := filepath.Join(mount, path)
		if unix.Access(filepath.Join(parent, "cgroup.procs"), unix.W_OK) != nil {
			return nil
		}
		if g, err := makeUnified(parent, id); err == nil {
			return g
		}
		return nil
	}
	return nil
}

func makeUnified(parent, id string) (*unified, error) {
	dir := filepath.Join(parent, nameOf(id))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return &unified{dir}, nil
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

func (g *unified) Apply(l record.Limits) map[string]record.Way {
	by := map[string]record.Way{}
	for _, name := range l.Names() {
		by[name] = record.Way{Why: "its control group has no controllers"}
	}
	return by
}

func (g *unified) Note(s *record.State) { s.Cgroup = g.dir }

// Entrance is how a process comes into a group.
type Entrance struct {
	Procs []*os.File // each takes a process that writes "0" to it
}

// Close closes the descriptors.
func (e Entrance) Close() {
	for _, f := range e.Procs {
		_ = f.Close()
	}
}

func (g *unified) Entrance() (Entrance, error) {
	procs, err := os.OpenFile(filepath.Join(g.dir, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return Entrance{}, err
	}
	return Entrance{Procs: []*os.File{procs}}, nil
}

func (g *unified) Has(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	path, _ := v2Path(string(text))
	return strings.Contains("/"+path+"/", "/"+filepath.Base(g.dir)+"/")
}

// freezeWait is how long the kernel may take to stop every process.
const freezeWait = 10 * time.Second

func (g *unified) Freeze(frozen bool) error {
	want := map[bool]string{true: "1", false: "0"}[frozen]
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.freeze"), []byte(want), 0); err != nil {
		return err
	}
	// cgroup.events tells of a change by POLLPRI.
	file, err := os.Open(filepath.Join(g.dir, "cgroup.events"))
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
		if CountOf(string(text[:n]), "frozen") == map[bool]int{true: 1, false: 0}[frozen] {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return errNotFrozen
		}
		poll := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLPRI}}
		_, _ = unix.Poll(poll, int(left.Milliseconds())+1)
	}
}

var errNotFrozen = fmt.Errorf("its processes have not stopped within %v", freezeWait)

func (g *unified) OOMKills() (int, bool) {
	text, err := os.ReadFile(filepath.Join(g.dir, "memory.events"))
	return CountOf(string(text), "oom_kill"), err == nil
}

func (g *unified) Remove() { removeDir(g.dir) }

// removeDir takes a group away. The kernel may need a moment to notice that its last
// process is gone.
func removeDir(dir string) {
	for range 20 {
		if err := unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// CountOf finds a number in the kernel's "name value" lines, 0 without it.
func CountOf(text, name string) int {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}
