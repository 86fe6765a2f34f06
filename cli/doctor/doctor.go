// Package doctor says what a host gives rootlet: for each need what is used, what
// would be better, why that is not had, and the lines that change it. It takes
// the findings of the probes that commands use themselves, and reads files of
// /proc, /sys and /etc below a root of its choice; it runs nothing, changes
// nothing and prints nothing. It is for cli, in the user's own process.
package doctor

import (
	"rootlet/fuseoverlay"
	"rootlet/internal/distro"
	"rootlet/userns"
)

// Status is how well a need is met.
type Status string

// The states of a need.
const (
	OK      Status = "ok"      // nothing better is known
	Better  Status = "better"  // met, and something better could be had
	Missing Status = "missing" // not met: a container does without, or cannot run
)

// Need is one line: what it is called stands in internal/need.
type Need struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Now    string `json:"now"`
	Better string `json:"better,omitempty"`
	Why    string `json:"why,omitempty"` // why the better is not had: the probe's own error
	Fix    Fix    `json:"fix"`
}

// Fix are lines to type, in this order.
type Fix struct {
	Admin []string `json:"admin"`
	User  []string `json:"user"`

	// Own are those of the user's that --fix runs: they end, take nothing away,
	// and can be run again.
	Own [][]string `json:"-"`
}

// Host is what is known of a host and its user.
type Host struct {
	Root   string // files are read below it: "/" but in tests
	Distro distro.Distro
	UID    int
	User   string // the name that an administrator types
	Shell  int    // the process that runs rootlet
	Kernel string // release

	RefusedCalls []error // what the kernel, or a filter, does not do: linux.RefusedCalls

	Namespaces Namespaces
	Plan       *userns.Plan
	PlanErr    error
	// EmulationWhy says why root emulation, where there is one id, remembers nothing.
	EmulationWhy string
	Driver       fuseoverlay.Choice // of none: it could not be asked
	DriverErr    error
	Network      Network
	Cgroup       Cgroup

	Home    string // the account's, where HOME does not say it
	Data    string // directory
	DataErr error
	Disk    Disk

	ImageStores []ImageStore

	RuntimeDir    string // the one in use
	XDGRuntimeDir string // what the variable says
	Systemd       bool   // runs this host
	Bus           bool   // the user's own answers
	Lingers       bool

	Seccomp  bool
	Landlock int // version of its interface; 0: none

	LandlockWhy string // why there is none

	Start Start
}

// Namespaces says whether user namespaces can be had.
type Namespaces struct {
	Allowed    bool
	Setting    string // what forbids them, where that is known
	Error, Fix string
	Level      []string // what a container does without; none: nothing
}

// Network is what a container gets if nothing else is asked for.
type Network struct {
	Driver, Version string
	None            bool // there is none but loopback
	Why, Fix        string
}

// Cgroup is what holds containers to their limits.
type Cgroup struct {
	Version     string
	By          string // empty: nothing
	Legacy      bool   // that is directories of version 1
	Why         string // why nothing better does
	Controllers []string
}

// Check looks at every need, in the order in which they are shown.
func Check(h Host) []Need {
	needs := []Need{
		h.namespaces(), h.ids(), h.rootFilesystem(), h.network(), h.limits(), h.withImageStores(h.storage()),
		h.runtimeDirectory(), h.lingering(), h.kernel(), h.securityModules(), h.timeToStart(),
	}
	for i := range needs { // a list in JSON is never null
		needs[i].Fix.Admin = append([]string{}, needs[i].Fix.Admin...)
		needs[i].Fix.User = append([]string{}, needs[i].Fix.User...)
	}
	return needs
}

// Works says whether a container ran.
func (h Host) Works() bool { return h.Start.Err == "" }
