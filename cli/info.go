package cli

import (
	"errors"
	"os"

	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/userns"
)

// infoCmd is `rootlet info`: what this host gives, what was chosen, and what an
// administrator would type for the better choice. It always succeeds; what
// cannot be had is part of the answer.
type infoCmd struct {
	Format string `name:"format" short:"f" placeholder:"FORMAT" help:"json, or a Go template."`
}

// hostInfo is the answer, and what --format works on. Where Docker's has such a
// field it bears Docker's name.
type hostInfo struct {
	ServerVersion                                        string
	Containers, ContainersRunning, ContainersStopped     int
	ContainersPaused                                     int
	Images                                               int
	Driver                                               string
	DriverForced                                         bool
	DriversRuledOut                                      []fuseoverlay.RuledOut
	KernelVersion, OperatingSystem, OSType, Architecture string
	NCPU                                                 int
	MemTotal                                             int64
	Name                                                 string
	DockerRootDir                                        string // the data directory
	RuntimeDir                                           string
	IDs                                                  idInfo
	Network                                              networkInfo
	UserNamespaces                                       usernsInfo
	Warnings                                             []string
}

// idInfo says which ids a container has.
type idInfo struct {
	Method     userns.Method
	UIDs, GIDs []userns.Extent
	Why        string   // why not more
	Fix        []string // what an administrator types
}

// networkInfo says what a container's network is.
type networkInfo struct {
	Driver        string // slirp4netns, or none
	Path, Version string
	Why, Fix      string // why there is none
}

// usernsInfo says whether this host allows user namespaces.
type usernsInfo struct {
	Allowed             bool
	Setting, Value, Fix string // what forbids them
	Error               string
	Limits              []limit // what the kernel is set to
}

// limit is a sysctl that bounds user namespaces.
type limit struct{ Name, Value string }

// Run gathers and prints.
func (c *infoCmd) Run(a *app) error {
	info := hostInfo{ServerVersion: version}
	info.addHost("/")
	paths, err := findPaths()
	if err != nil {
		info.warn(err)
	} else {
		info.DockerRootDir, info.RuntimeDir = paths.Data, paths.Runtime
		info.addContainers(paths)
	}
	info.addNetwork()
	plan, planErr := userns.NewPlan()
	if planErr != nil {
		info.warn(planErr)
	} else {
		info.addIDs(plan)
	}
	if err == nil && planErr == nil {
		info.addStore(a, plan, paths)
	}
	if c.Format == "" {
		return info.print(a.stdout)
	}
	return printFormatted(a.stdout, c.Format, info)
}

// warn keeps an error, and what it says to type.
func (i *hostInfo) warn(err error) {
	i.Warnings = append(i.Warnings, err.Error())
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		i.Warnings = append(i.Warnings, "hint: "+hinted.Hint())
	}
}

func (i *hostInfo) addContainers(paths sandbox.Paths) {
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		i.warn(err)
	}
	i.Containers = len(entries)
	for _, e := range entries {
		if e.Err == nil && e.State.Status == record.Running {
			i.ContainersRunning++
		} else {
			i.ContainersStopped++
		}
	}
}

func (i *hostInfo) addIDs(plan *userns.Plan) {
	i.IDs = idInfo{Method: plan.Method, UIDs: plan.UIDs, GIDs: plan.GIDs, Why: plan.Why, Fix: plan.Fix}
	i.Warnings = append(i.Warnings, plan.Warnings...)
}

// addNetwork looks for slirp4netns, and for the device without which it is of
// no use.
func (i *hostInfo) addNetwork() {
	n := &i.Network
	n.Driver = "none"
	var err error
	if n.Path, n.Version, err = slirp.Available(); err == nil {
		err = openTun()
	}
	if err == nil {
		n.Driver = "slirp4netns"
		return
	}
	n.Why = err.Error()
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &hinted):
		n.Fix = hinted.Hint()
	case errors.Is(err, slirp.ErrNotInstalled):
		n.Fix = "apt-get install slirp4netns   # or your distribution's word for it"
	}
}

// tunDevice is where a tap device comes from.
const tunDevice = "/dev/net/tun"

func openTun() error {
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err != nil {
		return &slirp.TunError{Err: underlying(err)}
	}
	return f.Close()
}

func underlying(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// addStore asks a worker: the store, and what drivers work, show only in a user
// namespace. That there is none is the one thing that it then finds out.
func (i *hostInfo) addStore(a *app, plan *userns.Plan, paths sandbox.Paths) {
	var answer storeInfo
	err := a.have(plan, work{Paths: paths, Info: &infoWork{}}, nil, &answer)
	var forbidden *userns.Forbidden
	var failure *sandbox.Failure
	switch {
	case err == nil:
		i.UserNamespaces.Allowed = true
		i.Images = answer.Images
		i.Driver, i.DriverForced, i.DriversRuledOut = answer.Choice.Driver, answer.Choice.Forced, answer.Choice.RuledOut
	case errors.As(err, &forbidden):
		u := &i.UserNamespaces
		u.Setting, u.Value, u.Fix, u.Error = forbidden.Setting, forbidden.Value, forbidden.Fix, forbidden.Error()
	case errors.As(err, &failure): // it ran, and so there is one
		i.UserNamespaces.Allowed = true
		i.warn(err)
	default:
		i.UserNamespaces.Error = err.Error()
		i.warn(err)
	}
}

// infoWork asks about the store, for the worker.
type infoWork struct{}

type storeInfo struct {
	Choice fuseoverlay.Choice `json:"choice"`
	Images int                `json:"images"`
}

func (*infoWork) do(t *task) (any, error) {
	images, err := t.store.Images()
	if err != nil {
		return nil, err
	}
	return storeInfo{Choice: t.store.Choice(), Images: len(images)}, nil
}
