package cli

import (
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// fillShared is --network container:NAME. What belongs to the network is the other
// container's, and is refused in Docker's words (moby, runconfig/errors.go).
func (c *newContainer) fillShared(r *sandbox.Request, other string) error {
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
	id, spec, err := findShared("--network", other)
	if err != nil {
		return err
	}
	r.Spec.Network, r.Spec.Hostname = record.Sharing+id, spec.Hostname
	return nil
}
