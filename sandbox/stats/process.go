// Package stats reads from /proc and /sys/fs/cgroup what processes are and what
// they use. It runs in the user's own command, and changes and executes nothing.
// A process may end while it is being read: it is left out then.
package stats

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is what the kernel says of one process in /proc/PID/stat (proc(5)).
type Process struct {
	PID, PPID int
	UID       int    // as this side of the container's user namespace sees it
	Command   string // cut to fifteen characters; see Line for all of it
	TTY       int    // device number of its terminal, 0 without
	Threads   int

	CPU      time.Duration // that it has used, in user and kernel mode
	Children time.Duration // and its children that it has waited for
	Start    time.Duration // since boot
}

// tick is the unit of times in /proc: USER_HZ is 100 on every machine that Go
// knows (time(7)).
const tick = 10 * time.Millisecond

// ReadProcess reads one.
func ReadProcess(pid int) (Process, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Process{}, err
	}
	var owner unix.Stat_t
	if err := unix.Stat(dir, &owner); err != nil {
		return Process{}, err
	}
	p, err := parseStat(string(text))
	p.UID = int(owner.Uid)
	return p, err
}

// parseStat understands a line whose second field, the command in parentheses,
// is the container's to choose: it may hold spaces and parentheses of its own.
func parseStat(line string) (Process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Process{}, fmt.Errorf("stat: no command in %q", line)
	}
	fields := strings.Fields(line[end+1:])
	const first, last = 3, 22 // as proc(5) counts them
	if len(fields) <= last-first {
		return Process{}, fmt.Errorf("stat: %d fields in %q", len(fields), line)
	}
	var bad error
	field := func(n int) int {
		v, err := strconv.Atoi(fields[n-first])
		if err != nil {
			bad = fmt.Errorf("stat: field %d: %w", n, err)
		}
		return v
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	if err != nil {
		return Process{}, fmt.Errorf("stat: %w", err)
	}
	return Process{
		PID: pid, PPID: field(4), Command: line[open+1 : end], TTY: field(7), Threads: field(20),
		CPU:      time.Duration(field(14)+field(15)) * tick,
		Children: time.Duration(field(16)+field(17)) * tick,
		Start:    time.Duration(field(22)) * tick,
	}, bad
}

// Line is the command line of a process, or its name in brackets where it has
// none.
func (p Process) Line() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	line := strings.TrimRight(strings.ReplaceAll(string(text), "\x00", " "), " ")
	if err != nil || line == "" {
		return "[" + p.Command + "]"
	}
	return line
}

// Boot is when this host was booted.
func Boot(now time.Time) (time.Time, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return now, fmt.Errorf("clock_gettime: %w", err)
	}
	return now.Add(-time.Duration(up.Nano())), nil
}
