package watch

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Memory looks after what a container takes of it: the memory of its processes that no
// file lies behind, what they share of it counted once, and files in memory. The sum of
// what is resident is asked for often and is never less; what a process has to itself
// takes the kernel a walk through its pages, and is asked for only where the former is
// beyond the limit.
type Memory struct {
	Limit int64 // bytes
	Tmpfs []int // descriptors of file systems in memory

	pace
	estimate  int64         // what it takes, or a little more
	exact     int64         // what it took ...
	beside    int64         // ... when so much was resident
	at        time.Duration // and that was so
	exactCost time.Duration // of finding out
	lent      int64         // in files without a name
	shmem     int64         // of the host's, when that was found out

	dying   map[int]time.Duration // processes that were killed, and when
	strikes int                   // looks in a row that found too much
}

const (
	// memoryRate is more than a program gets in a second, in bytes.
	memoryRate = 4 << 30

	memorySoonest, memoryLatest = 10 * time.Millisecond, 500 * time.Millisecond

	// dies is how long a process that was killed does not count.
	dies = time.Second

	// maxStrikes is how often in a row some processes are killed before all are.
	maxStrikes = 10
)

// Verdict is what comes of a look.
type Verdict struct {
	Kill []Process // these, the largest first
	All  bool      // the whole container: it grows faster than its processes can be killed
}

// Look looks at a time by a clock that nobody sets.
func (m *Memory) Look(p *Processes, now time.Duration) (Verdict, error) {
	began, before := time.Now(), m.estimate
	defer func() {
		m.pace.cost = time.Since(began)
		if m.estimate-before > m.Limit/moveShare || m.strikes > 0 {
			m.moved = now
		}
	}()
	all, err := p.All()
	if err != nil {
		return Verdict{}, err
	}
	all = slices.DeleteFunc(all, func(process Process) bool { return m.isDying(process.PID, now) })
	files := m.inFiles(p)
	resident := files
	for _, process := range all {
		resident += process.resident()
	}
	m.estimate = min(resident, m.exact+max(resident-m.beside, 0))
	if resident <= m.Limit {
		m.estimate, m.exact, m.beside, m.strikes = resident, resident, resident, 0
		return Verdict{}, nil
	}
	// What was shared may not be any more, at which the sum stays the same.
	if since := now - m.at; m.at > 0 && since < m.exactCost*m.share(now) && m.estimate <= m.Limit {
		return Verdict{}, nil
	}
	return m.lookCloser(p, all, files, resident, now), nil
}

// lookCloser finds out what each process has to itself.
func (m *Memory) lookCloser(p *Processes, all []Process, files, resident int64, now time.Duration) Verdict {
	began := time.Now()
	var anonymous, shared int64
	usages := make([]usage, 0, len(all))
	for _, process := range all {
		anon, shmem := process.own()
		if u := (usage{process, anon + shmem}); u.bytes > m.Limit/100 && p.hasCounted(u, usages) {
			continue
		}
		anonymous, shared = anonymous+anon, shared+shmem
		usages = append(usages, usage{process, anon + shmem})
	}
	// What is mapped of files in memory is part of these, mostly.
	m.exact, m.beside, m.at, m.exactCost = anonymous+max(shared, files), resident, now, time.Since(began)
	m.estimate = m.exact
	if m.exact <= m.Limit {
		m.strikes = 0
		return Verdict{}
	}
	m.strikes++
	if !p.Numbered() && m.strikes == 1 {
		return Verdict{} // it may be one process, and a child of it that is about to execute
	}
	if files > m.Limit || m.strikes > maxStrikes {
		return Verdict{All: true}
	}
	slices.SortFunc(usages, func(x, y usage) int { return cmp.Compare(y.bytes, x.bytes) })
	var v Verdict
	for over := m.exact - m.Limit; over > 0 && len(v.Kill) < len(usages); {
		next := usages[len(v.Kill)]
		v.Kill = append(v.Kill, next.process)
		over -= max(next.bytes, 1)
		if m.dying == nil {
			m.dying = map[int]time.Duration{}
		}
		m.dying[next.process.PID] = now
	}
	return v
}

// usage is what a process takes.
type usage struct {
	process Process
	bytes   int64
}

// hasCounted reports whether a process has its memory in common with one that was counted:
// between vfork(2) and execve(2), which is how many programs start others.
func (p *Processes) hasCounted(u usage, counted []usage) bool {
	const vm = 1 // KCMP_VM
	return p.Numbered() && slices.ContainsFunc(counted, func(c usage) bool {
		order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(u.process.PID), uintptr(c.process.PID), vm, 0, 0, 0)
		return errno == 0 && order == 0
	})
}

func (m *Memory) isDying(pid int, now time.Duration) bool {
	at, killed := m.dying[pid]
	if killed && now-at > dies {
		delete(m.dying, pid)
		return false
	}
	return killed
}

// Estimate is what the container took at the last look, or a little more.
func (m *Memory) Estimate() int64 { return m.estimate }

// Wait is how long until the next look.
func (m *Memory) Wait(now time.Duration) time.Duration {
	left := max(m.Limit-m.estimate, 0)
	return m.wait(now, time.Duration(float64(left)/memoryRate*float64(time.Second)), memorySoonest, memoryLatest)
}

// inFiles is what files in memory take: those of a tmpfs, and those without a name, which
// are looked for once the whole host has so much more that it matters.
func (m *Memory) inFiles(p *Processes) int64 {
	var sum int64
	for _, at := range m.Tmpfs {
		var fs unix.Statfs_t
		if unix.Fstatfs(at, &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
			sum += int64(fs.Blocks-fs.Bfree) * fs.Bsize
		}
	}
	if shmem := p.shmem(); shmem-m.shmem > max(m.Limit-m.estimate, 0)/2 || shmem < m.shmem {
		m.lent, m.shmem = p.Lent(), shmem
	}
	return sum + m.lent
}

// shmem is what the host has in files in memory, in bytes: proc_meminfo(5).
func (p *Processes) shmem() int64 {
	text, _ := os.ReadFile(p.root + "/meminfo")
	return kilobytes(text, "Shmem:")
}

// kilobytes adds up the "name: N kB" lines that have one of the names, in bytes.
func kilobytes(text []byte, names ...string) int64 {
	var sum int64
	for line := range bytes.Lines(text) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if !slices.Contains(names, string(name)+":") {
			continue
		}
		if fields := bytes.Fields(rest); len(fields) > 0 {
			n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			sum += n << 10
		}
	}
	return sum
}

// resident is how much memory a process has, in bytes: proc_pid_statm(5).
func (process Process) resident() int64 {
	text, err := os.ReadFile(process.dir + "/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// own is what a process has to itself, its share of what it shares included: memory that
// no file lies behind, and files in memory (proc_pid_smaps(5)).
func (process Process) own() (anonymous, shmem int64) {
	text, err := os.ReadFile(process.dir + "/smaps_rollup")
	if err != nil {
		return 0, 0
	}
	if !bytes.Contains(text, []byte("Pss_Anon:")) { // before Linux 5.4
		return kilobytes(text, "Pss:"), 0
	}
	return kilobytes(text, "Pss_Anon:"), kilobytes(text, "Pss_Shmem:")
}
