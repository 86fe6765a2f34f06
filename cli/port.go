package cli

import (
	"fmt"
)

// portCmd is `rootlet port`. No port of a container is published yet, so that
// there is nothing to print, and one that is asked for is missing.
type portCmd struct {
	Container string `arg:"" help:"Name or id."`
	Port      string `arg:"" optional:"" name:"private-port" help:"PORT[/PROTOCOL] of the container."`
}

// Run says where the container's ports are published.
func (c *portCmd) Run(*app) error {
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	if _, err := found.spec(); err != nil || c.Port == "" {
		return err
	}
	port, err := parsePort(c.Port)
	if err != nil {
		return err
	}
	return fmt.Errorf("no public port '%s' published for %s", port, c.Container)
}
