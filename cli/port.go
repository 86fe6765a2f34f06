package cli

import (
	"fmt"

	"rootlet/slirp/publish"
)

// portCmd is `rootlet port`.
type portCmd struct {
	Container string `arg:"" help:"Name or id."`
	Port      string `arg:"" optional:"" name:"private-port" help:"PORT[/PROTOCOL] of the container."`
}

// Run says where the container's ports are published.
func (c *portCmd) Run(a *app) error {
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	state, err := found.live()
	if err != nil {
		return err
	}
	var bound []publish.Bound
	if state.Status.Up() {
		bound = state.Ports
	}
	lines := publish.Lines(bound)
	if c.Port != "" {
		port, err := parsePort(c.Port)
		if err != nil {
			return err
		}
		if lines = publish.Addresses(bound, publish.Port{Number: port.number, Protocol: port.protocol}); len(lines) == 0 {
			return fmt.Errorf("no public port '%s' published for %s", port, c.Container)
		}
	}
	for _, line := range lines {
		fmt.Fprintln(a.stdout, line)
	}
	return nil
}
