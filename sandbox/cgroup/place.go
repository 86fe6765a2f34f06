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

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// Place is where a container's group can be made. The user's command finds it, and hands
// it to the monitor.
type Place struct {
	Dir  string            `json:"dir,omitempty"`  // version 2: the group that it is to be a child of
	Dirs map[string]string `json:"dirs,omitempty"` // version 1: the same, by controller
	// Why says why there is nothing better: no place at all, or no scope.
	Why string `json:"why,omitempty"`
}

// Some reports whether it is one.
func (p Place) Some() bool { return p.Dir != "" || len(p.Dirs) > 0 }

// Wish is what a place is looked for.
type Wish struct {
	Limits  record.Limits
	Parent  string // --cgroup-parent
	Monitor int    // the process that is to make the group, and what it has started so far
	Name    string // for a scope: a few characters of its own
	User    User
}

// limiting are the controllers that hold limits, by version; v1 has further ones that
// count and freeze.
var (
	limiting2 = map[string]string{
		record.LimitMemory: "memory", record.LimitMemorySwap: "memory", record.LimitMemoryReservation: "memory",
		record.LimitCPUs: "cpu", record.LimitCPUShares: "cpu", record.LimitCpusetCPUs: "cpuset", record.LimitCpusetMems: "cpuset",
		record.LimitPids: "pids", record.LimitBlkioWeight: "io",
	}
	controllers2 = []string{"cpu", "cpuset", "io", "memory", "pids"}
	controllers1 = []string{"blkio", "cpu", "cpuacct", "cpuset", "freezer", "memory", "pids"}
)

// Find looks for a place: a scope of systemd's, a directory of version 2, or of version 1.
// An error says that the parent that the user has named will not do.
func Find(root string, w Wish) (Place, error) {
	h, err := readHierarchies(root)
	if err != nil {
		return Place{Why: err.Error()}, nil
	}
	if strings.HasSuffix(w.Parent, ".slice") && !strings.Contains(w.Parent, "/") {
		dir, err := startScope(w.User, h, w.scope(), w.Parent, w.Monitor)
		if err != nil {
			return Place{}, fmt.Errorf("--cgroup-parent %s: a scope in it: %w", w.Parent, err)
		}
		return Place{Dir: dir}, divide(dir)
	}
	if w.Parent != "" {
		return h.named(w.Parent)
	}
	if !h.limits2(w.Limits) {
		return h.legacyPlace(), nil
	}
	dir, errScope := startScope(w.User, h, w.scope(), "", w.Monitor)
	if errScope == nil {
		if errScope = divide(dir); errScope == nil {
			return Place{Dir: dir}, nil
		}
	}
	p, err := h.ownPlace()
	p.Why = oneLine(noScope(errScope), err)
	return p, nil
}

func noScope(err error) error { return fmt.Errorf("no scope of your systemd's: %w", err) }

func (w Wish) scope() string { return scopePrefix + w.Name + scopeSuffix }

// limits2 reports whether version 2 has a controller for one of the limits, or nothing
// else has.
func (h hierarchies) limits2(l record.Limits) bool {
	if h.unified.dir == "" {
		return false
	}
	have := words(h.unified.dir, "cgroup.controllers")
	for _, name := range l.Names() {
		if slices.Contains(have, limiting2[name]) {
			return true
		}
	}
	return len(h.legacy) == 0
}

// ownPlace is a directory of version 2 that is the user's to divide: the group around
// that of this process, or this one, whose processes make room in it then.
func (h hierarchies) ownPlace() (Place, error) {
	own := h.unifiedDir(h.own)
	if own == "" {
		return Place{}, errors.New("this process is in no cgroup of version 2 that is mounted")
	}
	if around := filepath.Dir(own); own != h.unified.dir && mine(around) == nil && divide(around) == nil {
		return Place{Dir: around}, nil
	}
	if err := mine(own); err != nil {
		return Place{}, err
	}
	if err := divide(own); err == nil {
		return Place{Dir: own}, nil // the root, which may have processes
	} else if !errors.Is(err, unix.EBUSY) {
		return Place{}, err
	}
	if err := makeRoom(own); err != nil {
		return Place{}, err
	}
	return Place{Dir: own}, nil
}

// mine checks that a group is the user's to divide.
func mine(dir string) error {
	for _, path := range []string{dir, filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, "cgroup.subtree_control")} {
		if err := unix.Access(path, unix.W_OK); err != nil {
			return &fs.PathError{Op: "write to", Path: path, Err: err}
		}
	}
	return nil
}

// divide passes on to the children of a group all controllers that limit. One that it
// does not have is missed where a limit is set.
func divide(dir string) error {
	have, passed := words(dir, "cgroup.controllers"), words(dir, "cgroup.subtree_control")
	for _, controller := range controllers2 {
		if !slices.Contains(have, controller) || slices.Contains(passed, controller) {
			continue
		}
		if err := write(dir, "cgroup.subtree_control", "+"+controller); err != nil {
			return err
		}
	}
	return nil
}

// others is where the processes of a group go that is to be divided.
const others = "rootlet-others"

// makeRoom moves all processes of a group into one below it, and divides it. New ones
// may begin meanwhile.
func makeRoom(dir string) error {
	below := filepath.Join(dir, others)
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var err error
	for range 10 {
		for _, text := range words(dir, "cgroup.procs") {
			pid, bad := strconv.Atoi(text)
			if bad != nil || pid == 0 {
				return fmt.Errorf("%s: a process of another pid namespace is in it", dir)
			}
			if err := move(below, pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if err = divide(dir); !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return err
}

// legacyPlace are the directories of version 1 that are the user's: our own groups.
func (h hierarchies) legacyPlace() Place {
	p, why := Place{Dirs: map[string]string{}}, error(nil)
	for _, controller := range controllers1 {
		g, mounted := h.legacy[controller]
		if !mounted {
			continue
		}
		dir := g.groupDir(g.path)
		if dir == "" {
			continue
		}
		if err := unix.Access(dir, unix.W_OK); err != nil {
			why = &fs.PathError{Op: "write to", Path: dir, Err: err}
			continue
		}
		p.Dirs[controller] = dir
	}
	switch {
	case len(p.Dirs) > 0:
	case why != nil:
		p.Why = why.Error()
	default:
		p.Why = "no control groups are mounted"
	}
	return p
}

// named is the place that --cgroup-parent names: a path in every hierarchy that has it,
// or a directory.
func (h hierarchies) named(parent string) (Place, error) {
	asked := fmt.Sprintf("--cgroup-parent %s", parent)
	for _, m := range append([]mount{h.unified}, h.legacyMounts()...) {
		if rest, below := strings.CutPrefix(parent, m.dir+"/"); m.dir != "" && below {
			parent = rest
			break
		}
	}
	if dir := h.unifiedDir(parent); dir != "" && (len(h.legacy) == 0 || isDir(dir)) {
		if err := mine(dir); err != nil {
			return Place{}, fmt.Errorf("%s: %w", asked, err)
		}
		if err := divide(dir); err != nil {
			return Place{}, fmt.Errorf("%s: %w", asked, busy(err))
		}
		return Place{Dir: dir}, nil
	}
	p := Place{Dirs: map[string]string{}}
	err := fmt.Errorf("%s: there is no such control group", asked)
	for controller, g := range h.legacy {
		dir := g.groupDir(parent)
		if !slices.Contains(controllers1, controller) || dir == "" || !isDir(dir) {
			continue
		}
		if denied := unix.Access(dir, unix.W_OK); denied != nil {
			err = fmt.Errorf("%s: write to %s: %w", asked, dir, denied)
			continue
		}
		p.Dirs[controller] = dir
	}
	if len(p.Dirs) == 0 {
		return Place{}, err
	}
	return p, nil
}

func busy(err error) error {
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: there are processes in it, which one that is divided must not have", err)
	}
	return err
}

func (h hierarchies) legacyMounts() []mount {
	var all []mount
	for _, g := range h.legacy {
		all = append(all, g.mount)
	}
	return all
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// words are those of a file of a group's.
func words(dir, file string) []string {
	text, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(string(text))
}

// write writes to a file of a group's, and never makes one.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
