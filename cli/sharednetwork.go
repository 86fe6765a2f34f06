package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// fillShared is --network container:NAME. What belongs to the network is the other
// container's, and is refused in Docker's words (moby, runconfig/errors.go).
func (c *newContainer) fillShared(r *sandbox.Request, other string) error {
	if other == "" {
		return errors.New("invalid --network container: want container:NAME, or an id")
	}
	for _, conflict := range []struct {
		given bool
		what  string
	}{
		{c.Hostname != "", "hostname and the network mode"},
		{len(c.DNS)+len(c.DNSSearch) > 0, "dns and the network mode"},
		{len(c.AddHost) > 0, "custom host-to-IP mapping and the network mode"},
		{len(c.Publish) > 0 || c.PublishAll, "port publishing and the container type network mode"},
		{len(c.Expose) > 0, "port exposing and the container type network mode"},
		{len(c.Egress) > 0, "egress and the container type network mode"},
	} {
		if conflict.given {
			return fmt.Errorf("conflicting options: %s", conflict.what)
		}
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	root := record.Root(paths.Data)
	id, err := root.Find(other)
	if err != nil {
		return fmt.Errorf("--network: %w", err)
	}
	spec, err := root.Spec(id)
	if err != nil {
		return fmt.Errorf("--network container:%s: %w", other, err)
	}
	r.Spec.Network, r.Spec.Hostname = record.Sharing+id, spec.Hostname
	return nil
}
