package cli

import (
	"errors"
	"fmt"

	"rootlet/cli/inspect"
	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/fsprobe"
	"rootlet/internal/landlock"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
	"rootlet/sandbox/volume"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
	"rootlet/userns"
)

// infoCmd is `rootlet info`: what this host gives, what was chosen, and what an
// administrator would type for the better choice. It always succeeds; what
// cannot be had is part of the answer.
type infoCmd struct {
	Format  string `name:"format" short:"f" placeholder:"FORMAT" help:"json, or a Go template."`
	Seccomp bool   `name:"seccomp" help:"Show the filter of system calls that a container gets, and nothing else."`
}

// hostInfo is the answer, and what --format works on. Where Docker's has such a
// field it bears Docker's name.
type hostInfo struct {
	Containers, ContainersRunning, ContainersPaused, ContainersStopped int
	Images                                                             int
	Driver                                                             string
	DriverStatus                                                       [][2]string
	Plugins                                                            plugins
	LoggingDriver, CgroupDriver, CgroupVersion                         string
	KernelVersion, OperatingSystem, OSType, Architecture               string
	IndexServerAddress                                                 string
	RegistryConfig                                                     registryConfig
	NCPU                                                               int
	MemTotal                                                           int64
	DockerRootDir                                                      string // the data directory
	Name                                                               string
	Labels                                                             []string
	ExperimentalBuild                                                  bool
	ServerVersion                                                      string
	DefaultRuntime                                                     string
	Swarm                                                              swarm
	LiveRestoreEnabled                                                 bool // nothing that could end takes containers with it
	SecurityOptions                                                    []string
	Warnings                                                           []string
	ClientInfo                                                         clientInfo

	Level           []string // what a container started now does without, as its record has it; none: nothing
	DriverForced    bool
	DriversRuledOut []fuseoverlay.RuledOut
	Limits          limitsInfo
	IDs             idInfo
	Network         networkInfo
	UserNamespaces  usernsInfo
	SeccompActions  []string // that the kernel knows; none: it has no filters of system calls
	Landlock        landlockInfo
	RuntimeDir      string
	ImageStores     []imageStoreInfo
	Place           placeInfo
	SettingFiles    settingFiles
}

// plugins are the kinds of volumes, networks and logs.
type plugins struct{ Volume, Network, Authorization, Log []string }

// registryConfig says where images come from.
type registryConfig struct {
	InsecureRegistryCIDRs []string
	Mirrors               []string // of Docker Hub
	IndexConfigs          map[string]indexConfig
}

// swarm says to scripts that ask that there is none.
type swarm struct{ LocalNodeState string }

// clientInfo is about the command, which is the engine as well.
type clientInfo struct {
	Debug   bool
	Context string
	versionOf
}

// idInfo says which ids a container has.
type idInfo struct {
	Method     userns.Method
	UIDs, GIDs []userns.Extent
	Why        string   // why not more
	Fix        []string // what an administrator types
	// Emulation is what stands for the ids that there are not, in the words of Level, and
	// EmulationWhy why it remembers nothing.
	Emulation    []string `json:",omitempty"`
	EmulationWhy string   `json:",omitempty"`
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

// landlockInfo says by what sandboxes, and processes of rootlet's own, are restricted.
type landlockInfo struct {
	ABI int    // 0: it has nothing to do so
	Why string `json:",omitempty"`
}

func (i *hostInfo) addLandlock(abi int, err error) {
	i.Landlock.ABI = abi
	if err != nil {
		i.Landlock.Why = err.Error()
		return
	}
	i.SecurityOptions = append(i.SecurityOptions, fmt.Sprintf("name=landlock,abi=%d", abi))
}

// Run gathers and prints.
func (c *infoCmd) Run(a *app) error {
	if c.Seccomp {
		return c.printFilter(a)
	}
	info := knownInfo()
	if found := info.probe(a); found.pathsErr == nil {
		info.addContainers(found.paths)
		info.addImages(found.paths)
	}
	info.ImageStores = a.describeStores()
	info.addSettings(a)
	if c.Format == "" {
		return info.print(a.stdout)
	}
	return printFormatted(a.stdout, c.Format, info)
}

// probed is what came of the probes besides what is shown of them.
type probed struct {
	paths                       sandbox.Paths
	plan                        *userns.Plan
	pathsErr, planErr, storeErr error
}

// probe asks the host, for info and doctor.
func (i *hostInfo) probe(a *app) (p probed) {
	i.addHost("/")
	i.addSeccomp(seccomp.Actions())
	i.addLandlock(landlock.ABI())
	i.addCgroup("/", sandbox.BusUser())
	if p.paths, p.pathsErr = findPaths(); p.pathsErr != nil {
		i.warn(p.pathsErr)
	} else {
		i.DockerRootDir, i.RuntimeDir = p.paths.Data, p.paths.Runtime
	}
	i.addNetwork()
	if p.plan, p.planErr = userns.NewPlan(); p.planErr != nil {
		i.warn(p.planErr)
	} else {
		i.addIDs(p.plan)
	}
	if p.pathsErr == nil && p.planErr == nil {
		var wrong *placeError
		if settled, err := a.settle(p.plan, p.paths); err == nil {
			p.paths = settled
		} else if errors.As(err, &wrong) {
			i.warn(err) // what else may be the matter, addStore finds out
		}
		i.Place.Layers = p.paths.Layers
		p.storeErr = i.addStore(a, p.plan, p.paths)
	}
	return p
}

// addSeccomp says whether a container gets a filter, as docker info does.
func (i *hostInfo) addSeccomp(actions []string) {
	i.SeccompActions = actions
	if len(actions) > 0 {
		i.SecurityOptions = append([]string{"name=seccomp,profile=" + record.Builtin}, i.SecurityOptions...)
	}
}

// printFilter shows the program that the kernel runs before each system call.
func (c *infoCmd) printFilter(a *app) error {
	filter, err := sandbox.DefaultFilter()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(a.stdout, filter)
	return err
}

// placeInfo says what the file system of the data directory gives, and where layers
// are, if they are not in it.
type placeInfo struct {
	fsprobe.Report
	Layers   string `json:",omitempty"`
	LayersFS string `json:",omitempty"`
}

// knownInfo is what does not depend on the host.
func knownInfo() hostInfo {
	return hostInfo{
		DriverStatus: [][2]string{}, LoggingDriver: record.LogJSONFile,
		Plugins: plugins{
			Volume: []string{volume.Driver}, Network: append(inspect.Networks(), bridge.Driver),
			Log: []string{record.LogJSONFile, record.LogNone},
		},
		// pull speaks plain http to this machine's own registries only.
		RegistryConfig:     registryConfig{InsecureRegistryCIDRs: []string{"127.0.0.0/8", "::1/128"}, Mirrors: []string{}},
		IndexServerAddress: "https://index.docker.io/v1/", Labels: []string{}, ServerVersion: version, DefaultRuntime: "rootlet",
		Swarm: swarm{"inactive"}, LiveRestoreEnabled: true, SecurityOptions: []string{"name=rootless", "name=cgroupns"},
		ClientInfo: clientInfo{Context: "default", versionOf: thisVersion()},
	}
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
		switch e.State.Status {
		case record.Running, record.Restarting:
			i.ContainersRunning++
		case record.Paused:
			i.ContainersPaused++
		default:
			i.ContainersStopped++
		}
	}
}

func (i *hostInfo) addImages(paths sandbox.Paths) {
	images, err := view(paths).Images()
	if err != nil {
		i.warn(err)
	}
	i.Images = len(images)
}

func (i *hostInfo) addIDs(plan *userns.Plan) {
	i.IDs = idInfo{Method: plan.Method, UIDs: plan.UIDs, GIDs: plan.GIDs, Why: plan.Why, Fix: plan.Fix}
	i.Warnings = append(i.Warnings, plan.Warnings...)
	if plan.Method != userns.OneID {
		return
	}
	var why error
	if i.IDs.Emulation, why = sandbox.EmulationLevel(); why != nil {
		i.IDs.EmulationWhy = why.Error()
	}
}

// addNetwork says what auto is here, and why it is not what comes before it.
func (i *hostInfo) addNetwork() {
	n := &i.Network
	var err error
	if n.Driver, err = slirp.Choose(); err != nil {
		n.Driver = slirp.None
	} else {
		n.Path, n.Version, err = slirp.Available(n.Driver)
		for _, better := range slirp.Drivers() {
			if better == n.Driver || err != nil {
				break
			}
			_, _, err = slirp.Available(better)
		}
	}
	if err == nil {
		return
	}
	n.Why = err.Error()
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		n.Fix = hinted.Hint()
	}
}

// addStore asks a worker: the store, and what drivers work, show only in a user
// namespace. That there is none is the one thing that it then finds out.
func (i *hostInfo) addStore(a *app, plan *userns.Plan, paths sandbox.Paths) error {
	var answer storeInfo
	err := a.have(plan, work{Paths: paths, Info: &infoWork{}}, nil, &answer)
	var forbidden *userns.Forbidden
	var failure *sandbox.Failure
	switch {
	case err == nil:
		i.UserNamespaces.Allowed = true
		i.Level = append(answer.Level, i.IDs.Emulation...)
		i.Place.Report, i.Place.LayersFS = answer.Data, answer.LayersFS
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
	return err
}

// infoWork asks about the store, for the worker.
type infoWork struct{}

type storeInfo struct {
	Choice   fuseoverlay.Choice `json:"choice"`
	Data     fsprobe.Report     `json:"data"`
	LayersFS string             `json:"layersFS,omitempty"`
	Level    []string           `json:"level,omitempty"`
}

func (*infoWork) do(t *task) (any, error) {
	s := storeInfo{Choice: t.store.Choice(), Data: fsprobe.Dir(t.Paths.Data, fuseoverlay.OtherID()), Level: sandbox.Level()}
	if t.Paths.Layers != "" {
		s.LayersFS = fsprobe.NameOf(t.Paths.Layers)
	}
	return s, nil
}
