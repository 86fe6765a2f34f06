package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

// updateCmd is `rootlet update`.
type updateCmd struct {
	Containers []string `arg:"" name:"container" help:"Names or ids."`
	Restart    *string  `name:"restart" placeholder:"POLICY" help:"no, always, unless-stopped, or on-failure[:N]."`

	BlkioWeight       *string `name:"blkio-weight" hidden:""`
	CPUPeriod         *string `name:"cpu-period" hidden:""`
	CPUQuota          *string `name:"cpu-quota" hidden:""`
	CPURTPeriod       *string `name:"cpu-rt-period" hidden:""`
	CPURTRuntime      *string `name:"cpu-rt-runtime" hidden:""`
	CPUShares         *string `name:"cpu-shares" short:"c" hidden:""`
	CPUs              *string `name:"cpus" hidden:""`
	CPUSetCPUs        *string `name:"cpuset-cpus" hidden:""`
	CPUSetMems        *string `name:"cpuset-mems" hidden:""`
	Memory            *string `name:"memory" short:"m" hidden:""`
	MemoryReservation *string `name:"memory-reservation" hidden:""`
	MemorySwap        *string `name:"memory-swap" hidden:""`
	PidsLimit         *string `name:"pids-limit" hidden:""`
}

// Run changes the restart policy of each container, running or not, and prints
// the names of those that have it.
func (c *updateCmd) Run(a *app) error {
	if err := c.refuseLimits(); err != nil {
		return err
	}
	if c.Restart == nil {
		return errors.New("you must provide one or more flags when using this command: rootlet knows --restart")
	}
	policy, err := record.ParseRestart(*c.Restart)
	if err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	return a.each(c.Containers, func(given string) error {
		if err := update(paths, given, policy); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.stdout, given)
		return err
	})
}

// refuseLimits refuses Docker's flags for resources by name: a limit that is
// accepted and does not hold is worse than none.
func (c *updateCmd) refuseLimits() error {
	for _, flag := range []struct {
		name  string
		given *string
	}{
		{"blkio-weight", c.BlkioWeight},
		{"cpu-period", c.CPUPeriod},
		{"cpu-quota", c.CPUQuota},
		{"cpu-rt-period", c.CPURTPeriod},
		{"cpu-rt-runtime", c.CPURTRuntime},
		{"cpu-shares", c.CPUShares},
		{"cpus", c.CPUs},
		{"cpuset-cpus", c.CPUSetCPUs},
		{"cpuset-mems", c.CPUSetMems},
		{"memory", c.Memory},
		{"memory-reservation", c.MemoryReservation},
		{"memory-swap", c.MemorySwap},
		{"pids-limit", c.PidsLimit},
	} {
		if flag.given != nil {
			return fmt.Errorf("--%s: rootlet's containers have no resource limits yet, for they have no cgroup of their own to set them in", flag.name)
		}
	}
	return nil
}

func update(paths sandbox.Paths, given string, policy record.Restart) error {
	root := record.Root(paths.Data)
	id, err := root.Find(given)
	if err != nil {
		return err
	}
	spec, err := root.Spec(id)
	if err != nil {
		return err
	}
	if spec.Remove && policy.Active() {
		return fmt.Errorf("cannot update container %s: restart policy cannot be updated because --rm is enabled for the container", given)
	}
	err = root.Change(id, func(now *record.Settings) error {
		now.Restart = policy
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot update container %s: %w", given, err)
	}
	_ = events.Append(paths.Data, events.Of(&spec, "update"))
	return nil
}
