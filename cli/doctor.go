package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"rootlet/cli/doctor"
	"rootlet/fuseoverlay"
	"rootlet/internal/distro"
	"rootlet/internal/linux"
	"rootlet/sandbox/cgroup"
	"rootlet/slirp"
)

// doctorCmd is `rootlet doctor`: what this host lacks, and the lines that mend it.
type doctorCmd struct {
	JSON bool `name:"json" help:"Print a document for programs."`
	Fix  bool `name:"fix" help:"Do what you may do yourself, and print the rest."`
}

// diagnosis is the document of --json.
type diagnosis struct {
	Works        bool          `json:"works"` // a container ran
	Version      string        `json:"version"`
	Distribution string        `json:"distribution"`
	Needs        []doctor.Need `json:"needs"`
}

// Run exits with 0 where a container can run and with 1 where not.
func (c *doctorCmd) Run(a *app) error {
	host := a.examine()
	needs := doctor.Check(host)
	if c.Fix && a.mend(needs) {
		host = a.examine()
		needs = doctor.Check(host)
	}
	if err := c.print(a.stdout, host, needs); err != nil {
		return err
	}
	if !host.Works() {
		return exitStatus(ExitError)
	}
	return nil
}

func (c *doctorCmd) print(out io.Writer, host doctor.Host, needs []doctor.Need) error {
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(diagnosis{Works: host.Works(), Version: version, Distribution: host.Distro.Name, Needs: needs})
	}
	text := doctor.Text(needs)
	if c.Fix {
		text = doctor.Left(needs)
	}
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(out, printable(strings.TrimRight(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

// examine has the probes of info, and those that are for doctor alone.
func (a *app) examine() doctor.Host {
	info := knownInfo()
	found := info.probe(a)
	h := doctor.Host{
		Root: "/", Distro: distro.Here(), UID: os.Geteuid(), Shell: os.Getppid(), Kernel: info.KernelVersion,
		RefusedCalls: linux.RefusedCalls(),
		Namespaces:   doctor.Namespaces{Allowed: info.UserNamespaces.Allowed, Setting: info.UserNamespaces.Setting, Error: info.UserNamespaces.Error, Fix: info.UserNamespaces.Fix, Level: info.Level},
		Plan:         found.plan, PlanErr: found.planErr, EmulationWhy: info.IDs.EmulationWhy,
		Driver:    fuseoverlay.Choice{Driver: info.Driver, Forced: info.DriverForced, RuledOut: info.DriversRuledOut},
		DriverErr: found.storeErr,
		Network:   doctor.Network{Driver: info.Network.Driver, Version: info.Network.Version, None: info.Network.Driver == slirp.None, Why: info.Network.Why, Fix: info.Network.Fix},
		Cgroup:    doctor.Cgroup{Version: info.CgroupVersion, By: info.Limits.By, Legacy: info.Limits.By == cgroup.WayLegacy, Why: info.Limits.Why, Controllers: info.Limits.Controllers},
		Data:      found.paths.Data, DataErr: found.pathsErr,
		RuntimeDir: found.paths.Runtime, XDGRuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
		Systemd: systemdRuns(), Bus: hasBus(), Lingers: lingers(),
		Seccomp: len(info.SeccompActions) > 0, Landlock: info.Landlock.ABI, LandlockWhy: info.Landlock.Why,
	}
	h.User, h.Home = whoWeAre()
	for _, s := range a.describeStores() {
		h.ImageStores = append(h.ImageStores, doctor.ImageStore{Dir: s.Dir, Images: s.Images, Err: s.Error})
	}
	if h.DataErr == nil {
		h.Disk, h.DataErr = doctor.DiskOf(h.Data)
		h.Disk.Faults, h.Disk.Layers, h.Disk.LayersFS = info.Place.Faults, info.Place.Layers, info.Place.LayersFS
	}
	h.Start = a.tryStart(found)
	return h
}

// whoWeAre is what an administrator would call us, and our home where HOME
// does not say it.
func whoWeAre() (name, home string) {
	name = strconv.Itoa(os.Geteuid())
	u, err := user.LookupId(name)
	if err != nil {
		return name, ""
	}
	if shellWord(u.Username) == u.Username {
		name = u.Username
	}
	if !filepath.IsAbs(os.Getenv("HOME")) {
		home = shellWord(u.HomeDir)
	}
	return name, home
}

// hasBus reports whether the user's own D-Bus is there, by which his systemd is
// spoken to.
func hasBus() bool {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	info, err := os.Stat(filepath.Join(dir, "bus"))
	return doctor.RuntimeDir(dir, os.Geteuid()) == nil && err == nil && info.Mode().Type() == os.ModeSocket
}

// mend runs what the user may do himself, and reports whether it ran anything.
func (a *app) mend(needs []doctor.Need) bool {
	ran := false
	for _, n := range needs {
		for _, words := range n.Fix.Own {
			ran = true
			ctx, cancel := context.WithTimeout(context.Background(), managerWait)
			output, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
			cancel()
			line := strings.Join(words, " ")
			if err != nil {
				a.notice(fmt.Sprintf("%s: %s: %v: %s", n.Name, line, err, bytes.TrimSpace(output)))
				continue
			}
			a.notice(fmt.Sprintf("%s: done: %s", n.Name, line))
		}
	}
	return ran
}
