package slirp

import (
	"context"
	"fmt"
	"os"

	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
	"rootlet/slirp/gate"
)

// You come here from own.go: slirp4netns or pasta under --egress, started by our own
// process, behind slirp/gate.

// gated is a driver behind a gate.
type gated struct {
	Driver string `json:"driver"`
	Path   string `json:"path"` // its program
	Dir    string `json:"dir"`  // Options.Dir
}

// serveGated opens the gate, and has the driver ready behind it. Whichever ends is told to
// parts.
func (t task) serveGated(ctx context.Context, container *os.File, parts chan<- error) error {
	rules, err := egress.Parse(t.Egress)
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	g, err := gate.Open(t.gate(container, rules))
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	go func() { parts <- g.Serve(ctx) }()
	h, err := Start(ctx, Options{
		Driver: t.Gated.Driver, Path: t.Gated.Path, Dir: t.Gated.Dir, netns: g.Netns,
		Settings: Settings{HostLoopback: t.Settings.HostLoopback, MTU: t.Settings.MTU, Subnet: gate.Leg4(t.Settings.Prefix())},
	})
	if err != nil {
		return err
	}
	if err := h.Ready(); err != nil {
		return err
	}
	go func() {
		if err := <-h.Done(); err != nil {
			parts <- err
		}
	}()
	return nil
}

func (t task) gate(container *os.File, rules egress.Rules) gate.Options {
	o := gate.Options{
		Container: container, Link: t.link(), Gateway4: t.Settings.GatewayIP(), Nameserver4: t.Settings.NameserverIP(),
		HostLoopback: t.Settings.HostLoopback, Rules: rules, Refused: t.refused(),
		Report: func(err error) { fmt.Fprintln(os.Stderr, err) },
	}
	_, o.Gateway6, o.Nameserver6 = builtin.Addresses6(t.net6())
	return o
}
