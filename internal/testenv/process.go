package testenv

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// idRange is the host ids first to last.
type idRange struct{ first, last uint64 }

// ourIDs are this user's own uid and its subordinate ones.
func ourIDs() []idRange {
	own := uint64(os.Getuid())
	ids := []idRange{{own, own}}
	for _, line := range linesOf("/etc/subuid") {
		_, numbers, _ := strings.Cut(line, ":")
		first, count, _ := strings.Cut(numbers, ":")
		from, err1 := strconv.ParseUint(first, 10, 32)
		n, err2 := strconv.ParseUint(strings.TrimSpace(count), 10, 32)
		if err1 == nil && err2 == nil && n > 0 {
			ids = append(ids, idRange{from, from + n - 1})
		}
	}
	return ids
}

// addProcesses takes the processes with one of these ids but for the test
// itself. The start time is part of the key: pids come again.
func (w world) addProcesses(ids []idRange) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, ok := readProcess(pid)
		if !ok || !p.has(ids) || p.forInit() || p.kernel() {
			continue
		}
		w[fmt.Sprintf("process %d %s", pid, p.started)] = thing{what: p.String()}
	}
}

type process struct {
	pid, parent    int
	uid            uint64 // real
	name, state    string
	started        string // field 22 of proc_pid_stat(5), in clock ticks since boot
	commandAndArgs string
}

func readProcess(pid int) (process, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	status, err2 := os.ReadFile(dir + "/status")
	if err != nil || err2 != nil {
		return process{}, false // gone meanwhile
	}
	// The name is in parentheses and may hold any character: look for the last.
	open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := strings.Fields(string(stat)[end+1:]) // from field 3, the state, on
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{pid: pid, name: string(stat)[open+1 : end], state: fields[0], started: fields[19]}
	p.parent, _ = strconv.Atoi(fields[1])
	_, after, found := strings.Cut(string(status), "\nUid:\t")
	uid, _, _ := strings.Cut(after, "\t")
	p.uid, err = strconv.ParseUint(uid, 10, 32)
	if !found || err != nil {
		return process{}, false
	}
	line, _ := os.ReadFile(dir + "/cmdline")
	p.commandAndArgs = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	return p, true
}

func (p process) has(ids []idRange) bool {
	for _, r := range ids {
		if r.first <= p.uid && p.uid <= r.last {
			return true
		}
	}
	return false
}

// forInit: a dead orphan is the system's to reap, not ours.
func (p process) forInit() bool { return p.state == "Z" && p.parent == 1 }

// kernel: a thread of the kernel's, whose uid is root's and which comes and goes
// by itself; all are children of kthreadd, pid 2.
func (p process) kernel() bool { return p.parent == 2 || p.pid == 2 }

func (p process) String() string {
	return fmt.Sprintf("process %d of uid %d, child of %d, state %s: %s %q", p.pid, p.uid, p.parent, p.state, p.name, p.commandAndArgs)
}
