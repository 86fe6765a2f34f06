package slirp

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/slirp/egress"
	"rootlet/slirp/gate"
)

// You come here from own.go: slirp4netns or pasta under --egress, started by our own
// process, behind slirp/gate.

// behindGate says that a driver is started by a process of ours, behind a gate.
func behindGate(driver string, egress bool) bool {
	return egress && (driver == Slirp4netns || driver == Pasta)
}

// serveGated opens the gate, and has the driver ready behind it. Whichever ends is told to
// parts.
func (t task) serveGated(ctx context.Context, parts chan<- error) error {
	rules, err := egress.Parse(t.Egress)
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	g, err := gate.Open(t.gate(rules))
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	defer g.Netns.Close() // the driver has it then
	go func() { parts <- g.Serve(ctx) }()
	h, err := Start(ctx, Options{
		Driver: t.Gated, Path: t.Path, Dir: t.Dir, netns: g.Netns,
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

func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func (t task) gate(rules egress.Rules) gate.Options {
	o := gate.Options{
		Container: t.netns, Link: t.link(), Gateway4: t.Settings.GatewayIP(), Nameserver4: t.Settings.NameserverIP(),
		HostLoopback: t.Settings.HostLoopback, HostLoopback6: t.Settings.HostLoopback && t.Gated == Pasta, Rules: rules, Refused: t.refused,
		Report: func(err error) { fmt.Fprintln(os.Stderr, err) },
	}
	if t.ipv6 {
		o.Gateway6, o.Nameserver6 = gatewayIP6, nameserverIP6
	}
	return o
}
