package stats

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Sample is what a container has used up to a moment.
type Sample struct {
	At      time.Time
	CPU     time.Duration
	Memory  uint64 // bytes
	Limit   uint64 // on it, in bytes; 0: none of its own
	PIDs    int    // processes and threads
	Read    uint64 // bytes from block devices
	Written uint64
	NetIn   uint64 // bytes through its own network
	NetOut  uint64
}

// Container is what a sample is taken of.
type Container struct {
	PIDs       []int
	InitPID    int
	Cgroup     string            // directory of its own control group; empty: none
	Cgroups    map[string]string // the same of version 1, by controller
	OwnNetwork bool
}

// Take takes a sample: of the control group where there is one that counts, else
// of the sum of the processes.
func Take(c Container, now time.Time) Sample {
	s := Sample{At: now}
	for _, pid := range c.PIDs {
		p, err := ReadProcess(pid)
		if err != nil {
			continue
		}
		// What ends is waited for by another of the container's mostly, so that
		// nothing that was used is lost from the sum.
		s.CPU += p.CPU + p.Children
		s.PIDs += p.Threads
		s.Memory += memory(pid)
		io := numbers(fmt.Sprintf("/proc/%d/io", pid), ":")
		s.Read += io["read_bytes"]
		s.Written += io["write_bytes"]
	}
	if c.OwnNetwork {
		s.NetIn, s.NetOut = network(c.InitPID)
	}
	if c.Cgroup != "" {
		s.ofCgroup(c.Cgroup)
	}
	s.ofLegacyCgroups(c.Cgroups)
	return s
}

// memory is the proportional share of a process: what it has alone, and its part
// of what it shares (proc(5), smaps_rollup, Linux 4.14). Where that is denied, or
// not there, what it has in memory alone.
func memory(pid int) uint64 {
	if pss, ok := numbers(fmt.Sprintf("/proc/%d/smaps_rollup", pid), ":")["Pss"]; ok {
		return pss << 10
	}
	status := numbers(fmt.Sprintf("/proc/%d/status", pid), ":")
	return (status["RssAnon"] + status["RssShmem"]) << 10
}

// network sums the interfaces of a network namespace, but for the loopback.
func network(pid int) (in, out uint64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, counts, ok := strings.Cut(line, ":")
		fields := strings.Fields(counts)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		received, _ := strconv.ParseUint(fields[0], 10, 64)
		sent, _ := strconv.ParseUint(fields[8], 10, 64)
		in, out = in+received, out+sent
	}
	return in, out
}

// ofCgroup puts in what a control group counts. Which controllers it has is the
// host's to say; cpu.stat is there without any (cgroups(7)).
func (s *Sample) ofCgroup(dir string) {
	if used, ok := numbers(filepath.Join(dir, "cpu.stat"), " ")["usage_usec"]; ok {
		s.CPU = time.Duration(used) * time.Microsecond
	}
	if held, ok := number(filepath.Join(dir, "memory.current")); ok {
		// Files that the kernel can drop at any time are not counted, as with Docker.
		idle := numbers(filepath.Join(dir, "memory.stat"), " ")["inactive_file"]
		s.Memory = held - min(idle, held)
	}
	if limit, ok := number(filepath.Join(dir, "memory.max")); ok {
		s.Limit = limit
	}
	if n, ok := number(filepath.Join(dir, "pids.current")); ok {
		s.PIDs = int(n)
	}
	// 8:0 rbytes=1 wbytes=2 ..., a line for each device.
	if text, err := os.ReadFile(filepath.Join(dir, "io.stat")); err == nil {
		s.Read, s.Written = 0, 0
		for word := range strings.FieldsSeq(string(text)) {
			name, value, _ := strings.Cut(word, "=")
			n, _ := strconv.ParseUint(value, 10, 64)
			switch name {
			case "rbytes":
				s.Read += n
			case "wbytes":
				s.Written += n
			}
		}
	}
}

// ofLegacyCgroups puts in what control groups of version 1 count, each as far as it is
// there (Documentation/admin-guide/cgroup-v1).
func (s *Sample) ofLegacyCgroups(dirs map[string]string) {
	file := func(controller, name string) string { return filepath.Join(dirs[controller], name) }
	if used, ok := number(file("cpuacct", "cpuacct.usage")); ok && dirs["cpuacct"] != "" {
		s.CPU = time.Duration(used)
	}
	if held, ok := number(file("memory", "memory.usage_in_bytes")); ok && dirs["memory"] != "" {
		idle := numbers(file("memory", "memory.stat"), " ")["total_inactive_file"]
		s.Memory = held - min(idle, held)
		s.Limit, _ = number(file("memory", "memory.limit_in_bytes")) // a huge one is none
	}
	if n, ok := number(file("pids", "pids.current")); ok && dirs["pids"] != "" {
		s.PIDs = int(n)
	}
	// 8:0 Read 1, a line for each device and kind.
	text, err := os.ReadFile(file("blkio", "blkio.throttle.io_service_bytes_recursive"))
	if err != nil || dirs["blkio"] == "" {
		return
	}
	s.Read, s.Written = 0, 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		n, _ := strconv.ParseUint(fields[2], 10, 64)
		switch fields[1] {
		case "Read":
			s.Read += n
		case "Write":
			s.Written += n
		}
	}
}

// CPUPercent is the part of one processor that was used between two samples, in
// percent: four processors in full are 400.
func CPUPercent(before, now Sample) float64 {
	passed, used := now.At.Sub(before.At), now.CPU-before.CPU
	if passed <= 0 || used <= 0 {
		return 0
	}
	return 100 * float64(used) / float64(passed)
}

// HostMemory is how much this host has, in bytes.
func HostMemory() uint64 { return numbers("/proc/meminfo", ":")["MemTotal"] << 10 }

// numbers reads a file of lines that are a name, a separator and a number.
func numbers(path, separator string) map[string]uint64 {
	found := map[string]uint64{}
	text, err := os.ReadFile(path)
	if err != nil {
		return found
	}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, separator)
		fields := strings.Fields(rest)
		if !ok || len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseUint(fields[0], 10, 64); err == nil {
			found[name] = n
		}
	}
	return found
}

func number(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
