package cli

import (
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// attachCmd is `rootlet attach`.
type attachCmd struct {
	Container  string `arg:"" help:"Name or id."`
	DetachKeys string `name:"detach-keys" default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that leave the container running."`
	NoStdin    bool   `name:"no-stdin" help:"Do not attach standard input."`
	SigProxy   bool   `name:"sig-proxy" default:"true" help:"Pass signals on to the program."`
}

// Run connects the user to the program of a container, and stays until that ends
// or he leaves. The exit status is the program's.
func (c *attachCmd) Run(a *app) error {
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	spec, err := found.spec()
	if err != nil {
		return err
	}
	state, err := found.live()
	if err != nil {
		return err
	}
	switch state.Status {
	case record.Running:
	case record.Paused:
		return fmt.Errorf("you cannot attach to a paused container, unpause it first: %s", c.Container)
	case record.Restarting:
		return fmt.Errorf("you cannot attach to a restarting container, wait until it is running: %s", c.Container)
	default:
		return fmt.Errorf("you cannot attach to a stopped container, start it first: %s", c.Container)
	}
	a.catchSignals()
	streams := a.streams(c.SigProxy)
	if streams.DetachKeys, err = sandbox.ParseDetachKeys(c.DetachKeys); err != nil {
		return err
	}
	want := sandbox.Attach{Stdin: !c.NoStdin && spec.Interactive, Output: true}
	status, err := sandbox.AttachTo(found.paths, spec, want, streams)
	if err != nil {
		return asError(err)
	}
	return exitStatus(status)
}
