package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
// divide: systemd's user units with Delegate=yes are (cgroups(7), "Delegation"). It asks
// for no controllers: it is for a container without limits, to hold its processes together
// and to freeze them. It is nil where the host gives none.
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

// way is how it holds what it holds, for inspect and info.
func (g *unified) way() string {
	if strings.HasSuffix(filepath.Dir(g.dir), scopeSuffix) {
		return WayScope
	}
	return WayUnified
}

func (g *unified) Apply(l record.Limits) map[string]record.Way {
	quota, period := l.CPU()
	cpu := "max"
	if quota > 0 {
		cpu = strconv.FormatInt(quota, 10)
	}
	swap := "max"
	if bytes, limited := l.Swap(); limited {
		swap = strconv.FormatInt(bytes, 10)
	}
	io, weight := "io.weight", strconv.Itoa(ioWeight(l.BlkioWeight))
	if g.has("io.bfq.weight") {
		io, weight = "io.bfq.weight", strconv.Itoa(or(l.BlkioWeight, 100))
	}
	settings := []setting{
		{record.LimitMemory, "memory", "memory.max", orMax(l.Memory)},
		{record.LimitMemorySwap, "memory", "memory.swap.max", swap},
		{record.LimitMemoryReservation, "memory", "memory.low", strconv.FormatInt(l.MemoryReservation, 10)},
		{record.LimitCPUs, "cpu", "cpu.max", cpu + " " + strconv.FormatInt(period, 10)},
		{record.LimitCPUShares, "cpu", "cpu.weight", strconv.Itoa(cpuWeight(l.CPUShares))},
		{record.LimitCpusetCPUs, "cpuset", "cpuset.cpus", l.CpusetCPUs},
		{record.LimitCpusetMems, "cpuset", "cpuset.mems", l.CpusetMems},
		{record.LimitPids, "pids", "pids.max", orMax(pids(l))},
		{record.LimitBlkioWeight, "io", io, weight},
	}
	by := map[string]record.Way{}
	asked := l.Names()
	for _, s := range settings {
		err := write(g.dir, s.file, s.value+"\n")
		if !slices.Contains(asked, s.limit) {
			continue // it lifts one of before, if anything
		}
		by[s.limit] = record.Way{By: g.way()}
		if errors.Is(err, fs.ErrNotExist) {
			by[s.limit] = record.Way{Why: g.lacks(s)}
		} else if err != nil {
			by[s.limit] = record.Way{Why: err.Error()}
		}
	}
	if l.OOMKillDisable {
		by[record.LimitOOMKillDisable] = record.Way{Why: "cgroups of version 2 have no such thing: the kernel kills what is out of memory"}
	}
	return by
}

// setting is what a file of a group's is to say for a limit to hold.
type setting struct{ limit, controller, file, value string }

// lacks says why there is no file to hold a limit by.
func (g *unified) lacks(s setting) string {
	above := filepath.Dir(g.dir)
	if !slices.Contains(words(above, "cgroup.controllers"), s.controller) {
		return fmt.Sprintf("the controller %s is not delegated: %s does not name it", s.controller, filepath.Join(above, "cgroup.controllers"))
	}
	return fmt.Sprintf("this kernel has no %s", s.file)
}

func (g *unified) has(file string) bool {
	_, err := os.Stat(filepath.Join(g.dir, file))
	return err == nil
}

func (g *unified) Note(s *record.State) { s.Cgroup = g.dir }

func (g *unified) Entrance() (Entrance, error) {
	// Writing to it takes the right to write to cgroup.procs, reading does not.
	dir, err := os.Open(g.dir)
	if err != nil {
		return Entrance{}, err
	}
	procs, err := os.OpenFile(filepath.Join(g.dir, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return Entrance{}, errors.Join(err, dir.Close())
	}
	return Entrance{Dir: dir, Procs: []*os.File{procs}}, nil
}

func (g *unified) Has(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	path, _ := v2Path(string(text))
	return strings.Contains("/"+path+"/", "/"+filepath.Base(g.dir)+"/")
}

func (g *unified) Freezes() bool { return true }

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
