package cli

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// limitFlags say how much of this host a container may use. docs/limits.md says what
// holds each.
type limitFlags struct {
	BlkioWeight       *int    `name:"blkio-weight" placeholder:"N" help:"Its weight where disks are short, 10 to 1000."`
	CPUPeriod         *int    `name:"cpu-period" placeholder:"N" help:"Microseconds that --cpu-quota is for, 1000 to 1000000."`
	CPUQuota          *int    `name:"cpu-quota" placeholder:"N" help:"Microseconds of a processor in each --cpu-period; -1 for no limit."`
	CPUShares         *int    `name:"cpu-shares" short:"c" placeholder:"N" help:"Its weight where processors are short; all others have 1024."`
	CPUs              *string `name:"cpus" placeholder:"N" help:"How many processors it may use: 1.5."`
	CpusetCPUs        *string `name:"cpuset-cpus" placeholder:"LIST" help:"Which processors it may use: 0-2,4."`
	CpusetMems        *string `name:"cpuset-mems" placeholder:"LIST" help:"Which memory nodes it may use: 0,1."`
	Memory            *string `name:"memory" short:"m" placeholder:"SIZE" help:"How much memory it may use: 512m."`
	MemoryReservation *string `name:"memory-reservation" placeholder:"SIZE" help:"How much memory it keeps where memory is short."`
	MemorySwap        *string `name:"memory-swap" placeholder:"SIZE" help:"Memory and swap together; -1 for all swap there is, twice the memory if not given."`
	PidsLimit         *int    `name:"pids-limit" placeholder:"N" help:"How many processes and threads it may have; -1 for no limit."`
}

// over puts what the user has given over the limits that there are, and checks that all
// of them go together.
func (f *limitFlags) over(l record.Limits) (record.Limits, error) {
	set := []struct {
		flag  string
		given *string
		into  *int64
		parse func(string) (int64, error)
	}{
		{"memory", f.Memory, &l.Memory, parseSize},
		{"memory-swap", f.MemorySwap, &l.MemorySwap, parseSwap},
		{"memory-reservation", f.MemoryReservation, &l.MemoryReservation, parseSize},
		{"cpus", f.CPUs, &l.NanoCPUs, parseCPUs},
	}
	for _, s := range set {
		if s.given == nil {
			continue
		}
		var err error
		if *s.into, err = s.parse(*s.given); err != nil {
			return l, fmt.Errorf("invalid --%s %q: %w", s.flag, *s.given, err)
		}
	}
	for _, s := range []struct {
		given *int
		into  *int64
	}{{f.CPUPeriod, &l.CPUPeriod}, {f.CPUQuota, &l.CPUQuota}, {f.CPUShares, &l.CPUShares}} {
		if s.given != nil {
			*s.into = int64(*s.given)
		}
	}
	if f.PidsLimit != nil {
		pids := int64(*f.PidsLimit)
		l.Pids = &pids
	}
	if f.BlkioWeight != nil {
		l.BlkioWeight = *f.BlkioWeight
	}
	if err := f.sets(&l); err != nil {
		return l, err
	}
	return l, l.Check(runtime.NumCPU())
}

// sets reads the lists of processors and memory nodes.
func (f *limitFlags) sets(l *record.Limits) error {
	for _, s := range []struct {
		flag, online string
		given, into  *string
	}{
		{"cpuset-cpus", "/sys/devices/system/cpu/online", f.CpusetCPUs, &l.CpusetCPUs},
		{"cpuset-mems", "/sys/devices/system/node/online", f.CpusetMems, &l.CpusetMems},
	} {
		if s.given == nil {
			continue
		}
		if err := checkSet(*s.given, s.online); err != nil {
			return fmt.Errorf("invalid --%s %q: %w", s.flag, *s.given, err)
		}
		*s.into = *s.given
	}
	return nil
}

// any reports whether one of the flags was given.
func (f *limitFlags) any() bool { return *f != limitFlags{} }

func parseSize(text string) (int64, error) {
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 {
		return 0, errors.New("want a size such as 512m")
	}
	return n, nil
}

func parseSwap(text string) (int64, error) {
	if text == "-1" {
		return -1, nil
	}
	return parseSize(text)
}

// parseCPUs reads a number of processors as Docker does: exactly, in billionths.
func parseCPUs(text string) (int64, error) {
	want := errors.New("want a number such as 1.5")
	if strings.Trim(text, "0123456789.") != "" { // an exponent could take all memory to compute
		return 0, want
	}
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, want
	}
	nano := number.Mul(number, big.NewRat(1e9, 1))
	if !nano.IsInt() || !nano.Num().IsInt64() {
		return 0, errors.New("at most nine digits behind the point")
	}
	return nano.Num().Int64(), nil
}

// checkSet checks a list such as 0-2,4 against what this host has, where it says so. An
// empty one stands for no limit.
func checkSet(text, onlineFile string) error {
	if text == "" {
		return nil
	}
	wanted, err := record.ParseSet(text)
	if err != nil {
		return err
	}
	online, err := os.ReadFile(onlineFile)
	if err != nil {
		return nil
	}
	have, err := record.ParseSet(strings.TrimSpace(string(online)))
	if err != nil {
		return nil
	}
	for _, n := range wanted {
		if !slices.Contains(have, n) {
			return fmt.Errorf("there is no %d here, but %s", n, strings.TrimSpace(string(online)))
		}
	}
	return nil
}

// fillResources are the limits of a container that is to be made.
func (c *newContainer) fillResources(r *sandbox.Request) error {
	var err error
	if r.Spec.Limits, err = c.over(record.Limits{OOMKillDisable: c.OOMKillDisable, Disk: r.Spec.Limits.Disk}); err != nil {
		return err
	}
	if strings.ContainsAny(c.CgroupParent, "\n\x00") || slices.Contains(strings.Split(c.CgroupParent, "/"), "..") {
		return fmt.Errorf("invalid --cgroup-parent %q: want the path of a control group below /sys/fs/cgroup, or a slice such as work.slice", c.CgroupParent)
	}
	r.Spec.CgroupParent = c.CgroupParent
	return nil
}
