package cli

import (
	"errors"
	"fmt"
	"slices"

	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
	"rootlet/slirp"
)

// networkConnectCmd is `rootlet network connect`.
type networkConnectCmd struct {
	Network   string   `arg:"" help:"Name or id."`
	Container string   `arg:"" help:"Name or id."`
	Alias     []string `name:"alias" sep:"none" placeholder:"NAME" help:"A further name of the container's in the network."`
	IP        string   `name:"ip" placeholder:"IP" help:"Its address."`
	IP6       string   `name:"ip6" placeholder:"IP" help:"Its IPv6 address."`
	MAC       string   `name:"mac-address" placeholder:"MAC" help:"The hardware address of its interface."`
}

// Run takes a container into a network, for as long as it exists; one that runs is in it
// at once.
func (c *networkConnectCmd) Run(*app) error {
	on, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	n, err := findNetwork(on.paths, c.Network)
	if err != nil {
		return err
	}
	a := record.Attachment{Network: n.Name}
	if err := (addressFlags{IP: c.IP, IP6: c.IP6, MAC: c.MAC, Aliases: c.Alias}).fill(&a); err != nil {
		return err
	}
	spec, err := on.spec()
	if err != nil {
		return err
	}
	if spec.Network == slirp.None || record.IsForeign(spec.Network) {
		return fmt.Errorf("container %s was made with --network %s: it cannot be in another", spec.Name, spec.Network)
	}
	err = on.root.Change(on.id, func(now *record.Settings) error {
		if slices.ContainsFunc(now.Networks, isIn(n.Name)) {
			return fmt.Errorf("container %s is in the network %s already", spec.Name, n.Name)
		}
		err := sandbox.Connect(on.paths, on.id, a)
		if errors.Is(err, sandbox.ErrNotRunning) {
			err = nil // it will be as it starts
		}
		now.Networks = append(now.Networks, a)
		return err
	})
	if err == nil {
		_ = events.Append(on.paths.Data, networkEvent("connect", n, on.id))
	}
	return asError(err)
}

func isIn(network string) func(record.Attachment) bool {
	return func(a record.Attachment) bool { return a.Network == network }
}

// networkDisconnectCmd is `rootlet network disconnect`.
type networkDisconnectCmd struct {
	Network   string `arg:"" help:"Name or id."`
	Container string `arg:"" help:"Name or id."`
	Force     bool   `name:"force" short:"f" help:"Also where the network is not there any more."`
}

// Run takes a container out of a network.
func (c *networkDisconnectCmd) Run(*app) error {
	on, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	n, err := findNetwork(on.paths, c.Network)
	if err != nil && !c.Force {
		return err
	}
	if err != nil {
		n.Name = c.Network
	}
	err = on.root.Change(on.id, func(now *record.Settings) error {
		if !slices.ContainsFunc(now.Networks, isIn(n.Name)) {
			return fmt.Errorf("container %s is not in the network %s", now.Name, n.Name)
		}
		err := sandbox.Disconnect(on.paths, on.id, n.Name)
		if errors.Is(err, sandbox.ErrNotRunning) {
			err = nil
		}
		now.Networks = slices.DeleteFunc(now.Networks, isIn(n.Name))
		return err
	})
	if err == nil {
		_ = events.Append(on.paths.Data, networkEvent("disconnect", n, on.id))
	}
	return asError(err)
}
