package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/slirp"
)

// fillSandbox makes a container for code that nobody trusts of what the other flags have
// asked for, and refuses those that would open it. It comes after all that fill its parts.
func (c *newContainer) fillSandbox(r *sandbox.Request) error {
	if !c.Sandbox {
		return nil
	}
	for _, refused := range []struct {
		given     bool
		flag, why string
	}{
		{len(c.CapAdd) > 0, "--cap-add", "it has no capability"},
		{len(c.Device) > 0, "--device", "it has no devices of the host's"},
		{c.Privileged, "--privileged", "it has no right at all"},
		{opensPaths(c.SecurityOpt), "--security-opt systempaths", "what is masked stays so"},
		{record.IsForeign(r.Spec.PID), "--pid " + c.PID, "it sees its own processes"},
		{record.IsForeign(r.Spec.IPC), "--ipc " + c.IPC, "it has its own"},
		{record.IsForeign(r.Spec.UTS), "--uts " + c.UTS, "it has its own"},
		{r.Spec.UserNS.Mode == record.KeepID, "--userns keep-id", "your own id is not in it"},
		{opensNewPrivileges(c.SecurityOpt), "--security-opt no-new-privileges=false", "it gains none"},
		{r.Spec.Seccomp.Profile != "", "--security-opt seccomp", "it has a stricter filter of its own"},
	} {
		if refused.given {
			return fmt.Errorf("--sandbox: %s cannot go with it: %s", refused.flag, refused.why)
		}
	}
	if err := c.checkSandboxNetwork(r.Spec.Network); err != nil {
		return err
	}
	sandbox.Sandboxed(&r.Spec)
	return nil
}

func opensPaths(options []string) bool {
	return slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "systempaths") })
}

func opensNewPrivileges(options []string) bool {
	return slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "no-new-privileges") && strings.HasSuffix(o, "false") })
}

// checkSandboxNetwork wants to be told where a sandbox may connect to before it has a
// network. One of another container's goes by what that one may.
func (c *newContainer) checkSandboxNetwork(network string) error {
	const say = "say where it may connect to: --egress LIST, or --egress none"
	switch {
	case record.IsForeign(network):
		return fmt.Errorf("--sandbox: --network %s cannot go with it: it is no network of its own", c.Network[0])
	case len(c.Egress) > 0 || network == slirp.None:
		return nil
	case len(c.Network) > 0 && network != slirp.Auto:
		return fmt.Errorf("--sandbox: --network %s alone cannot go with it; %s", c.Network[0], say)
	case len(c.Publish) > 0 || c.PublishAll:
		return errors.New("--sandbox: it has no network to publish ports in; " + say)
	}
	return nil
}
