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

// legacy is a group of version 1: one directory for each controller, as far as they are
// the user's. It holds the limits, and the processes are in one below it: who gets to see the
// hierarchy from its own group on, whose files are container root's, could write to them, as
// nothing here forbids that, as nsdelegate does in version 2. Mounting it takes a right over
// the cgroup namespace, which is U1's; this holds where that should fail.
type legacy struct {
	dirs map[string]string
}

// inner is the group that the processes are in.
const inner = "inside"

func makeLegacy(parents map[string]string, id string) (*legacy, error) {
	g := &legacy{map[string]string{}}
	for _, controller := range controllers1 {
		parent, ok := parents[controller]
		if !ok {
			continue
		}
		dir := filepath.Join(parent, nameOf(id))
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			g.Remove()
			return nil, err
		}
		g.dirs[controller] = dir
		if err := makeInner(controller, parent, dir); err != nil {
			g.Remove()
			return nil, err
		}
	}
	return g, nil
}

// makeInner makes the group below one that was just made.
func makeInner(controller, parent, dir string) error {
	if controller == "memory" {
		_ = write(dir, "memory.use_hierarchy", "1") // always so since Linux 5.11
	}
	below := filepath.Join(dir, inner)
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if controller != "cpuset" {
		return nil
	}
	// A new one has no processor and no memory, and takes no process (cpuset(7)).
	for _, file := range cpusetFiles {
		if err := setCpuset(dir, file, strings.Join(words(parent, file), " ")); err != nil {
			return err
		}
	}
	return nil
}

var cpusetFiles = [...]string{"cpuset.cpus", "cpuset.mems"}

// setCpuset sets a list for both groups, of which the inner one's must be part of the
// outer one's at any time: it goes first where it gets less, and last where it gets more.
func setCpuset(dir, file, list string) error {
	_ = write(filepath.Join(dir, inner), file, list)
	return errors.Join(write(dir, file, list), write(filepath.Join(dir, inner), file, list))
}

func (g *legacy) Apply(l record.Limits) map[string]record.Way {
	asked, by := l.Names(), map[string]record.Way{}
	// set writes what is to hold; a failure counts where the limit is asked for.
	set := func(limit, controller string, apply func(dir string) error) {
		dir, ours := g.dirs[controller]
		err := error(nil)
		if ours {
			err = apply(dir)
		}
		switch {
		case !slices.Contains(asked, limit):
		case !ours:
			by[limit] = record.Way{Why: fmt.Sprintf("the controller %s of cgroup v1 is not yours to divide", controller)}
		case err != nil:
			by[limit] = record.Way{Why: err.Error()}
		default:
			by[limit] = record.Way{By: WayLegacy}
		}
	}
	file := func(name, value string) func(string) error {
		return func(dir string) error { return write(dir, name, value) }
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	quota, period := l.CPU()
	shares := l.CPUShares
	if shares == 0 {
		shares = 1024
	}
	set(record.LimitMemory, "memory", func(dir string) error { return setMemory(dir, l) })
	set(record.LimitMemorySwap, "memory", func(dir string) error {
		_, err := os.Stat(filepath.Join(dir, memorySwap)) // it was set with the former
		return err
	})
	set(record.LimitMemoryReservation, "memory", file("memory.soft_limit_in_bytes", number(orNone(l.MemoryReservation))))
	set(record.LimitOOMKillDisable, "memory", file("memory.oom_control", map[bool]string{true: "1", false: "0"}[l.OOMKillDisable]))
	set(record.LimitCPUs, "cpu", func(dir string) error {
		return errors.Join(write(dir, "cpu.cfs_quota_us", "-1"), write(dir, "cpu.cfs_period_us", number(period)), write(dir, "cpu.cfs_quota_us", number(orNone(quota))))
	})
	set(record.LimitCPUShares, "cpu", file("cpu.shares", number(shares)))
	for limit, list := range map[string]string{record.LimitCpusetCPUs: l.CpusetCPUs, record.LimitCpusetMems: l.CpusetMems} {
		set(limit, "cpuset", func(dir string) error {
			name := map[string]string{record.LimitCpusetCPUs: "cpuset.cpus", record.LimitCpusetMems: "cpuset.mems"}[limit]
			if list == "" {
				list = strings.Join(words(filepath.Dir(dir), name), " ")
			}
			return setCpuset(dir, name, list)
		})
	}
	set(record.LimitPids, "pids", file("pids.max", orMax(pids(l))))
	set(record.LimitBlkioWeight, "blkio", func(dir string) error {
		weight := strconv.Itoa(or(l.BlkioWeight, 500))
		err := write(dir, "blkio.weight", weight)
		if errors.Is(err, fs.ErrNotExist) {
			err = write(dir, "blkio.bfq.weight", weight)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no disk's scheduler here knows weights: bfq does")
		}
		return err
	})
	return by
}

const (
	memoryLimit = "memory.limit_in_bytes"
	memorySwap  = "memory.memsw.limit_in_bytes" // there where swap is accounted
)

// setMemory sets the limits on memory and on memory and swap together, of which the first
// must never be above the second: up in one order, down in the other.
func setMemory(dir string, l record.Limits) error {
	limit, together := orNone(l.Memory), int64(-1)
	if swap, limited := l.Swap(); limited {
		together = l.Memory + swap
	}
	first := write(dir, memoryLimit, strconv.FormatInt(limit, 10))
	err := write(dir, memorySwap, strconv.FormatInt(together, 10))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if first != nil {
		first = write(dir, memoryLimit, strconv.FormatInt(limit, 10))
	}
	return errors.Join(first, err)
}

// orNone is version 1's word for no limit.
func orNone(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

func (g *legacy) Note(s *record.State) { s.Cgroups = g.dirs }

// Entrance has a process enter one group after the other: there is no clone into them.
func (g *legacy) Entrance() (Entrance, error) {
	var e Entrance
	for _, controller := range controllers1 {
		dir, ours := g.dirs[controller]
		if !ours {
			continue
		}
		procs, err := os.OpenFile(filepath.Join(dir, inner, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			e.Close()
			return Entrance{}, err
		}
		e.Procs = append(e.Procs, procs)
	}
	return e, nil
}

func (g *legacy) Freezes() bool { return g.dirs["freezer"] != "" }

func (g *legacy) Freeze(frozen bool) error {
	dir, state := g.dirs["freezer"], map[bool]string{true: "FROZEN", false: "THAWED"}[frozen]
	for deadline := time.Now().Add(freezeWait); ; time.Sleep(time.Millisecond) {
		// Again each time: one that was just made may have got by (freezer-subsystem.rst).
		if err := write(dir, "freezer.state", state); err != nil {
			return err
		}
		if now := words(dir, "freezer.state"); len(now) == 1 && now[0] == state {
			return nil
		}
		if time.Now().After(deadline) {
			return errNotFrozen
		}
	}
}

func (g *legacy) Has(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[1] == "freezer" {
			return strings.Contains(fields[2]+"/", "/"+filepath.Base(g.dirs["freezer"])+"/")
		}
	}
	return false
}

func (g *legacy) OOMKills() (int, bool) {
	dir := g.dirs["memory"]
	if dir == "" {
		return 0, false
	}
	// It is counted where the process was, and not above (Linux 4.13).
	text, err := os.ReadFile(filepath.Join(dir, inner, "memory.oom_control"))
	return CountOf(string(text), "oom_kill"), err == nil && strings.Contains(string(text), "oom_kill ")
}

func (g *legacy) Remove() {
	for _, dir := range g.dirs {
		removeDir(filepath.Join(dir, inner))
		removeDir(dir)
	}
}

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
