// Package record keeps what is known of each container on disk: what it is
// (spec.json, written once), how it is (state.json, replaced whole), its name,
// and the lock by which its life can be told.
//
// Writing is the monitor's. Reading needs no namespace and takes no lock, so
// that ps, inspect and logs answer whatever the containers are doing; a record
// that cannot be read is reported beside the others and hides none of them.
package record

import (
	"encoding/json"
	"net/netip"
	"time"

	"rootlet/slirp/publish"
)

// Version is that of Spec and State. A record of another version is not
// guessed at: see Entry.Err.
const Version = 1

// Spec says what a container is. It never changes after creation.
type Spec struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`   // 64 lower-case hexadecimal digits
	Name    string    `json:"name"` // without a leading slash
	Created time.Time `json:"created"`

	Image   string `json:"image"`   // as the user wrote it
	ImageID string `json:"imageID"` // digest of its config, hexadecimal

	Hello bool `json:"hello,omitempty"` // the built-in image: its program is rootlet itself

	Process Process `json:"process"`
	Mounts  []Mount `json:"mounts,omitempty"`

	Hostname   string   `json:"hostname"`
	Network    string   `json:"network"` // as asked for: auto, a driver's name, none, host, bridge (those of Networks alone), or Sharing and an id
	DNS        []string `json:"dns,omitempty"`
	DNSSearch  []string `json:"dnsSearch,omitempty"`
	ExtraHosts []string `json:"extraHosts,omitempty"` // NAME:ADDRESS

	PID string `json:"pid,omitempty"` // --pid: empty, Host, or Sharing and an id
	IPC string `json:"ipc,omitempty"` // --ipc: the same, Shareable or NoShm
	UTS string `json:"uts,omitempty"` // --uts

	Networks        []Attachment      `json:"networks,omitempty"` // those with a name, as created: Settings may have others
	NetworkSettings NetworkSettings   `json:"networkSettings,omitzero"`
	Ports           []publish.Mapping `json:"ports,omitempty"`      // -p
	PublishAll      bool              `json:"publishAll,omitempty"` // -P
	Egress          []string          `json:"egress,omitempty"`     // --egress, as given; none: everything

	Require         []string          `json:"require,omitempty"`         // --require: words of Requirements
	NoRootEmulation bool              `json:"noRootEmulation,omitempty"` // --no-root-emulation
	Sandbox         bool              `json:"sandbox,omitempty"`         // --sandbox, which much of the rest comes from
	ReadOnly        bool              `json:"readOnly,omitempty"`
	Privileged      bool              `json:"privileged,omitempty"`      // every capability; no seccomp filter unless one was asked for; SystemPathsOpen
	SystemPathsOpen bool              `json:"systemPathsOpen,omitempty"` // nothing of /proc and /sys is masked or read-only: --security-opt systempaths=unconfined
	UserNS          UserNS            `json:"userNS,omitzero"`
	NoNewPrivileges bool              `json:"noNewPrivileges,omitempty"`
	Seccomp         Seccomp           `json:"seccomp,omitzero"`
	CapAdd          []string          `json:"capAdd,omitempty"`
	CapDrop         []string          `json:"capDrop,omitempty"`
	Devices         []Device          `json:"devices,omitempty"`
	Ulimits         []Ulimit          `json:"ulimits,omitempty"`
	Limits          Limits            `json:"limits,omitzero"`        // as created: Settings may have others
	CgroupParent    string            `json:"cgroupParent,omitempty"` // --cgroup-parent: the control group that its own is below
	ShmSize         int64             `json:"shmSize"`                // bytes
	StorageOpt      map[string]string `json:"storageOpt,omitempty"`   // --storage-opt as given: Limits has what it comes to

	Labels      map[string]string `json:"labels,omitempty"`
	StopSignal  string            `json:"stopSignal,omitempty"`
	StopTimeout *int              `json:"stopTimeout,omitempty"` // seconds until SIGKILL; -1: never; nil: ten
	Remove      bool              `json:"remove,omitempty"`      // --rm
	Init        bool              `json:"init,omitempty"`
	Interactive bool              `json:"interactive,omitempty"`
	Detached    bool              `json:"detached,omitempty"` // -d: no client attaches as it starts

	Restart      Restart      `json:"restart,omitzero"` // as created: Settings may have another
	Health       *HealthCheck `json:"health,omitempty"` // the image's, changed by --health-*; nil: none
	Log          Log          `json:"log,omitzero"`
	OOMScoreAdj  int          `json:"oomScoreAdj,omitempty"`
	ExposedPorts []string     `json:"exposedPorts,omitempty"` // 80/tcp: the image's EXPOSE and --expose
	Platform     string       `json:"platform,omitempty"`     // of the image: linux/amd64
	VolumesFrom  []string     `json:"volumesFrom,omitempty"`  // as given; Mounts has them already

	StorageDriver string `json:"storageDriver,omitempty"` // as forced; empty: automatic
}

// HasNoFilter reports whether a container's programs may make any system call.
func (s *Spec) HasNoFilter() bool {
	return s.Seccomp.Profile == Unconfined || s.Privileged && s.Seccomp.Profile == ""
}

// Seccomp says which system calls a container may make.
type Seccomp struct {
	Profile string          `json:"profile,omitempty"` // Builtin (as is an empty one), Sandboxed, Unconfined, or the file that JSON was read from
	JSON    json.RawMessage `json:"json,omitempty"`
}

// Profiles that are no files.
const (
	Builtin    = "builtin"
	Sandboxed  = "sandbox" // that of --sandbox; no user can name it
	Unconfined = "unconfined"
)

// NetworkSettings are what --network NAME:OPTIONS asks for; zero fields stand for the
// driver's own. It has the fields of slirp.Settings.
type NetworkSettings struct {
	HostLoopback bool         `json:"hostLoopback,omitempty"` // the gateway leads to the host's loopback
	MTU          int          `json:"mtu,omitempty"`          // bytes
	Subnet       netip.Prefix `json:"subnet,omitzero"`        // 10.0.2.0/24
}

// Attachment is how a container is to be in a network with a name.
type Attachment struct {
	Network  string     `json:"network"`
	Aliases  []string   `json:"aliases,omitempty"`  // further names of the container's
	IP4      netip.Addr `json:"ip4,omitzero"`       // the zero Addr: any
	IP6      netip.Addr `json:"ip6,omitzero"`       // likewise
	Hardware string     `json:"hardware,omitempty"` // address of its interface; empty: any
}

// Restart policies, as Docker names them.
const (
	RestartNo            = "no"
	RestartAlways        = "always"
	RestartUnlessStopped = "unless-stopped"
	RestartOnFailure     = "on-failure"
)

// Restart says when a monitor starts its program again.
type Restart struct {
	Policy  string `json:"policy,omitempty"`  // empty: no
	Retries int    `json:"retries,omitempty"` // on-failure: at most so many; 0: no limit
}

// HealthCheck is how a monitor asks whether the program is well (Dockerfile's
// HEALTHCHECK). Zero durations and retries stand for Docker's: 30 s, 30 s, 0 s,
// 5 s, 3.
type HealthCheck struct {
	Test          []string      `json:"test"` // CMD and words, or CMD-SHELL and one line
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"startPeriod,omitempty"`
	StartInterval time.Duration `json:"startInterval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// Log drivers.
const (
	LogJSONFile = "json-file"
	LogNone     = "none"
)

// Log is where a container's output is kept.
type Log struct {
	Driver   string            `json:"driver,omitempty"`   // empty: json-file
	MaxSize  int64             `json:"maxSize,omitempty"`  // bytes a file; 0: no limit
	MaxFiles int               `json:"maxFiles,omitempty"` // 0: one
	Options  map[string]string `json:"options,omitempty"`  // as given, for inspect
}

// Process is the program of a container.
type Process struct {
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"` // KEY=VALUE
	WorkingDir string   `json:"workingDir"`
	User       string   `json:"user,omitempty"` // as asked for: name, number, or either with :group
	GroupAdd   []string `json:"groupAdd,omitempty"`
	TTY        bool     `json:"tty,omitempty"`
}

// Args is the argument vector of the program.
func (p Process) Args() []string {
	return append(append([]string{}, p.Entrypoint...), p.Cmd...)
}

// Mount types, as Docker names them.
const (
	Bind   = "bind"
	Volume = "volume"
	Tmpfs  = "tmpfs"
)

// Mount is something that the user, or the image, puts into the root.
type Mount struct {
	Type        string `json:"type"`
	Source      string `json:"source,omitempty"` // absolute host path, or a volume's name
	Target      string `json:"target"`           // absolute path in the container
	ReadOnly    bool   `json:"readOnly,omitempty"`
	NoSuid      bool   `json:"nosuid,omitempty"`
	NoDev       bool   `json:"nodev,omitempty"`
	NoExec      bool   `json:"noexec,omitempty"`
	Propagation string `json:"propagation,omitempty"` // private, rprivate, slave, rslave, shared, rshared
	Recursive   bool   `json:"recursive,omitempty"`   // bind: with what is mounted below Source
	MakeSource  bool   `json:"makeSource,omitempty"`  // bind: -v makes a missing directory
	NoCopy      bool   `json:"noCopy,omitempty"`      // volume: leave a new one empty
	Anonymous   bool   `json:"anonymous,omitempty"`   // volume: goes with the container under --rm
	Size        int64  `json:"size,omitempty"`        // tmpfs: bytes, 0 for the kernel's default
	Mode        uint32 `json:"mode,omitempty"`        // tmpfs: permission bits, 0 for 1777
}

// Device is a device of the host's that the container may open as the user may.
type Device struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// Ulimit is one resource limit of the first process, in setrlimit(2)'s units.
type Ulimit struct {
	Name string `json:"name"` // nofile, nproc ...
	Soft int64  `json:"soft"` // -1: no limit
	Hard int64  `json:"hard"`
}
