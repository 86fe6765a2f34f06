package cli

import (
	"fmt"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
)

// portCmd is `rootlet port`. No port of a container is published yet, so that
// there is nothing to print, and one that is asked for is missing.
type portCmd struct {
	Container string `arg:"" help:"Name or id."`
	Port      string `arg:"" optional:"" name:"private-port" help:"PORT[/PROTOCOL] of the container."`
}

// Run says where the container's ports are published.
func (c *portCmd) Run(*app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	id, err := record.Root(paths.Data).Find(c.Container)
	if err != nil {
		return err
	}
	if _, err := record.Root(paths.Data).Spec(id); err != nil || c.Port == "" {
		return err
	}
	port, err := parsePort(c.Port)
	if err != nil {
		return err
	}
	return fmt.Errorf("no public port '%s' published for %s", port, c.Container)
}

// parsePort reads PORT[/PROTOCOL] and returns it with its protocol.
func parsePort(text string) (string, error) {
	number, protocol, given := strings.Cut(text, "/")
	if !given {
		protocol = "tcp"
	}
	protocol = strings.ToLower(protocol)
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return "", fmt.Errorf("invalid port %q: want a number up to 65535, or PORT/PROTOCOL", text)
	}
	switch protocol {
	case "tcp", "udp", "sctp":
		return number + "/" + protocol, nil
	}
	return "", fmt.Errorf("invalid port %q: the protocol is tcp, udp or sctp", text)
}
