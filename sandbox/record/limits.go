package record

import (
	"fmt"
	"strings"
)

// Limits are what a container may use of this host, as asked for and as Docker means it;
// zero fields ask for nothing. Settings may have others than Spec.
type Limits struct {
	Memory            int64  `json:"memory,omitempty"`            // bytes
	MemorySwap        int64  `json:"memorySwap,omitempty"`        // bytes, memory and swap together; -1: as much swap as there is
	MemoryReservation int64  `json:"memoryReservation,omitempty"` // bytes that it keeps when memory gets scarce
	NanoCPUs          int64  `json:"nanoCPUs,omitempty"`          // billionths of a processor
	CPUQuota          int64  `json:"cpuQuota,omitempty"`          // microseconds of a processor in each CPUPeriod; -1: no limit
	CPUPeriod         int64  `json:"cpuPeriod,omitempty"`         // microseconds
	CPUShares         int64  `json:"cpuShares,omitempty"`         // weight where processors are short; 1024 is everybody's
	CpusetCPUs        string `json:"cpusetCPUs,omitempty"`        // 0-2,4
	CpusetMems        string `json:"cpusetMems,omitempty"`        // NUMA nodes
	Pids              *int64 `json:"pids,omitempty"`              // processes and threads; -1: no limit; nil: not asked for
	BlkioWeight       int    `json:"blkioWeight,omitempty"`       // 10 to 1000
	Disk              int64  `json:"disk,omitempty"`              // bytes that it writes to its root: --storage-opt size=
	OOMKillDisable    bool   `json:"oomKillDisable,omitempty"`    // let it wait where it has no memory left
}

// The limits by the names of the flags that ask for them.
const (
	LimitMemory            = "memory"
	LimitMemorySwap        = "memory-swap"
	LimitMemoryReservation = "memory-reservation"
	LimitCPUs              = "cpus" // of NanoCPUs, or of CPUQuota and CPUPeriod
	LimitCPUShares         = "cpu-shares"
	LimitCpusetCPUs        = "cpuset-cpus"
	LimitCpusetMems        = "cpuset-mems"
	LimitPids              = "pids-limit"
	LimitBlkioWeight       = "blkio-weight"
	LimitOOMKillDisable    = "oom-kill-disable"
	LimitDisk              = "storage-opt"
)

// Names are the limits that are asked for.
func (l Limits) Names() []string {
	var names []string
	for _, limit := range []struct {
		asked bool
		name  string
	}{
		{l.Memory > 0, LimitMemory},
		{l.Memory > 0 && l.MemorySwap > 0, LimitMemorySwap},
		{l.MemoryReservation > 0, LimitMemoryReservation},
		{l.NanoCPUs > 0 || l.CPUQuota > 0, LimitCPUs},
		{l.CPUShares > 0, LimitCPUShares},
		{l.CpusetCPUs != "", LimitCpusetCPUs},
		{l.CpusetMems != "", LimitCpusetMems},
		{l.Pids != nil && *l.Pids > 0, LimitPids},
		{l.BlkioWeight > 0, LimitBlkioWeight},
		{l.OOMKillDisable, LimitOOMKillDisable},
		{l.Disk > 0, LimitDisk},
	} {
		if limit.asked {
			names = append(names, limit.name)
		}
	}
	return names
}

// What a container for code that nobody trusts may use unless its user says otherwise,
// where this host can hold it to that.
const (
	sandboxMemory = 2 << 30
	sandboxPids   = 1024
)

// Holding are the limits that a container is to be held to: those that were asked for,
// and a sandbox's own.
func (s *Spec) Holding() Limits {
	l := s.Limits
	if !s.Sandbox {
		return l
	}
	if l.Memory == 0 {
		l.Memory, l.MemorySwap = max(sandboxMemory, l.MemoryReservation), 0
	}
	if l.Pids == nil {
		pids := int64(sandboxPids)
		l.Pids = &pids
	}
	return l
}

// Grouped are those of them that a control group can hold.
func (s *Spec) Grouped() Limits {
	l := s.Holding()
	l.Disk = 0
	return l
}

// Any reports whether there is a limit at all.
func (l Limits) Any() bool { return len(l.Names()) > 0 }

// CPU is how much of the processors it may use: quota microseconds in each period; 0
// stands for all.
func (l Limits) CPU() (quota, period int64) {
	const usual = 100_000 // the kernel's, and Docker's
	period = l.CPUPeriod
	if period == 0 {
		period = usual
	}
	if l.NanoCPUs > 0 {
		return l.NanoCPUs * period / 1e9, period
	}
	return max(l.CPUQuota, 0), period
}

// Swap is how much swap it may use beside its memory, and whether that is limited.
func (l Limits) Swap() (bytes int64, limited bool) {
	switch {
	case l.Memory <= 0 || l.MemorySwap < 0:
		return 0, false
	case l.MemorySwap == 0:
		return l.Memory, true // Docker's rule
	}
	return l.MemorySwap - l.Memory, true
}

// Way is how one limit is held, for State.LimitedBy and whoever shows it.
type Way struct {
	By  string `json:"by,omitempty"`  // cgroup v2 ..., best effort; empty: it is not held
	Why string `json:"why,omitempty"` // why by nothing better
}

// BestEffort begins By where the kernel does not enforce a limit on the container as a
// whole.
const BestEffort = "best effort"

// Ways without a control group.
const (
	ByWatching = BestEffort + ": watched by the monitor, which kills"
	ByNProc    = BestEffort + ": RLIMIT_NPROC"
)

// IsBestEffort reports whether it is one of these.
func (w Way) IsBestEffort() bool { return strings.HasPrefix(w.By, BestEffort) }

// Without leaves out the limits that something holds already.
func (l Limits) Without(held map[string]Way) Limits {
	for name, zero := range map[string]func(){
		LimitMemory:            func() { l.Memory = 0 },
		LimitMemorySwap:        func() { l.MemorySwap = 0 },
		LimitMemoryReservation: func() { l.MemoryReservation = 0 },
		LimitCPUs:              func() { l.NanoCPUs, l.CPUQuota = 0, 0 },
		LimitCPUShares:         func() { l.CPUShares = 0 },
		LimitCpusetCPUs:        func() { l.CpusetCPUs = "" },
		LimitCpusetMems:        func() { l.CpusetMems = "" },
		LimitPids:              func() { l.Pids = nil },
		LimitBlkioWeight:       func() { l.BlkioWeight = 0 },
		LimitOOMKillDisable:    func() { l.OOMKillDisable = false },
		LimitDisk:              func() { l.Disk = 0 },
	} {
		if held[name].By != "" {
			zero()
		}
	}
	return l
}

// minMemory is Docker's: with less no program starts.
const minMemory = 6 << 20

// Check refuses what no host can hold, or this one with so many processors; the rules
// are Docker's.
func (l Limits) Check(processors int) error {
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{l.Memory < 0 || l.Memory > 0 && l.Memory < minMemory, "--memory: at least 6m"},
		{l.MemorySwap < -1, "--memory-swap: a size, or -1 for as much swap as there is"},
		{l.MemorySwap > 0 && l.Memory == 0, "--memory-swap: needs --memory, as it counts both together"},
		{l.MemorySwap > 0 && l.MemorySwap < l.Memory, "--memory-swap: must not be less than --memory, as it counts both together"},
		{l.MemoryReservation < 0 || l.MemoryReservation > 0 && l.MemoryReservation < minMemory, "--memory-reservation: at least 6m"},
		{l.Memory > 0 && l.MemoryReservation > l.Memory, "--memory-reservation: must not be more than --memory"},
		{l.NanoCPUs > 0 && (l.CPUQuota != 0 || l.CPUPeriod != 0), "--cpus: cannot go with --cpu-quota and --cpu-period, which say the same"},
		{l.NanoCPUs < 0 || l.NanoCPUs > 0 && l.NanoCPUs < 1e7 || l.NanoCPUs > int64(processors)*1e9, fmt.Sprintf("--cpus: from 0.01 to %d, as many as there are here", processors)},
		{l.CPUPeriod != 0 && (l.CPUPeriod < 1000 || l.CPUPeriod > 1_000_000), "--cpu-period: from 1000 to 1000000 microseconds"},
		{l.CPUQuota < -1 || l.CPUQuota >= 0 && l.CPUQuota < 1000 && l.CPUQuota != 0, "--cpu-quota: at least 1000 microseconds, or -1 for no limit"},
		{l.CPUShares < 0 || l.CPUShares > 0 && l.CPUShares < 2 || l.CPUShares > 262144, "--cpu-shares: from 2 to 262144"},
		{l.Pids != nil && *l.Pids < -1, "--pids-limit: a number, or -1 for no limit"},
		{l.BlkioWeight != 0 && (l.BlkioWeight < 10 || l.BlkioWeight > 1000), "--blkio-weight: from 10 to 1000"},
		{l.OOMKillDisable && l.Memory == 0, "--oom-kill-disable: needs --memory, or this host would be out of it first"},
	} {
		if rule.broken {
			return fmt.Errorf("invalid %s", rule.text)
		}
	}
	return nil
}
