package inspect

import (
	"path/filepath"
	"strings"
	"time"

	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
	"rootlet/slirp/egress"
)

// Container is `docker inspect` of a container.
type Container struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           State
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      HostConfig
	GraphDriver     GraphDriver
	SizeRw          *int64 `json:",omitempty"`
	SizeRootFs      *int64 `json:",omitempty"`
	Mounts          []MountPoint
	Config          Config
	NetworkSettings NetworkSettings
}

// State is how a container is.
type State struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *Health          `json:",omitempty"`
	Level      []string         `json:",omitempty"` // what it does without on this host; none: nothing
	LimitedBy  map[string]Limit `json:",omitempty"` // rootlet's own: how each limit is held, by its flag
}

// Limit says how a limit is held, and why by nothing better.
type Limit struct {
	By  string // empty: not at all
	Why string `json:",omitempty"`
}

// Health is what the health checks have found.
type Health struct {
	Status        string
	FailingStreak int
	Log           []HealthcheckResult
}

// HealthcheckResult is one check that was made.
type HealthcheckResult struct {
	Start    time.Time
	End      time.Time
	ExitCode int
	Output   string
}

// GraphDriver says who keeps the files, and where.
type GraphDriver struct {
	Name string
	Data map[string]string
}

// MountPoint is one thing that is mounted in a container.
type MountPoint struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

// Sources are what besides its record tells of a container.
type Sources struct {
	Dir        string                     // its directory
	Driver     GraphDriver                // of its root
	Mountpoint func(volume string) string // where a volume is on the host
	Written    *int64                     // bytes; nil: not asked for
	ImageSize  int64
	Masked     []string // what it cannot see
	ReadOnly   []string // what it cannot write
	Refused    []egress.Refusal
}

// ContainerOf describes a container.
func ContainerOf(e record.Entry, from Sources) Container {
	s := e.Spec
	c := Container{
		ID: e.ID, Created: stamp(s.Created), Args: []string{}, State: stateOf(e.State), Image: imageID(s.ImageID),
		ResolvConfPath: filepath.Join(from.Dir, "resolv.conf"), HostnamePath: filepath.Join(from.Dir, "hostname"),
		HostsPath: filepath.Join(from.Dir, "hosts"), Name: "/" + s.Name, RestartCount: e.State.Restarts,
		Driver: from.Driver.Name, Platform: platformOS(s.Platform), HostConfig: hostConfigOf(s, e.State, from),
		GraphDriver: from.Driver, Mounts: mountsOf(s, from), Config: configOf(s), NetworkSettings: networkSettingsOf(e, from.Refused),
	}
	if args := s.Process.Args(); len(args) > 0 {
		c.Path, c.Args = args[0], args[1:]
	}
	if s.Log.Driver != record.LogNone {
		c.LogPath = filepath.Join(from.Dir, logfile.Name)
	}
	if from.Written != nil {
		all := *from.Written + from.ImageSize
		c.SizeRw, c.SizeRootFs = from.Written, &all
	}
	return c
}

// stamp is a time as Docker writes it; one that never was is the year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func imageID(digits string) string {
	if digits == "" {
		return ""
	}
	return "sha256:" + digits
}

// platformOS is the part of OS/ARCH that Docker shows of a container.
func platformOS(platform string) string {
	if system, _, _ := strings.Cut(platform, "/"); system != "" {
		return system
	}
	return "linux"
}

func stateOf(s record.State) State {
	state := State{
		Status: string(s.Status), Running: s.Status.Up() || s.Status == record.Restarting, Paused: s.Status == record.Paused,
		Restarting: s.Status == record.Restarting, OOMKilled: s.OOMKilled, Dead: s.Status == record.Dead,
		Pid: s.PID, ExitCode: s.ExitCode, Error: s.Error, StartedAt: stamp(s.Started), FinishedAt: stamp(s.Finished), Level: s.Level,
	}
	if h := s.Health; h != nil {
		state.Health = &Health{Status: h.Status, FailingStreak: h.FailingStreak, Log: []HealthcheckResult{}}
		for _, p := range h.Log {
			state.Health.Log = append(state.Health.Log, HealthcheckResult(p))
		}
	}
	for name, way := range s.LimitedBy {
		if state.LimitedBy == nil {
			state.LimitedBy = map[string]Limit{}
		}
		state.LimitedBy[name] = Limit(way)
	}
	return state
}

// mountsOf are the volumes, the binds and the tmpfs's.
func mountsOf(s record.Spec, from Sources) []MountPoint {
	points := []MountPoint{}
	for _, m := range s.Mounts {
		point := MountPoint{Type: m.Type, Source: m.Source, Destination: m.Target, Mode: mode(m), RW: !m.ReadOnly, Propagation: m.Propagation}
		switch m.Type {
		case record.Volume:
			point.Name, point.Driver, point.Source = m.Source, "local", from.Mountpoint(m.Source)
		case record.Bind:
			if point.Propagation == "" {
				point.Propagation = "rprivate"
			}
		}
		points = append(points, point)
	}
	return points
}

func mode(m record.Mount) string {
	if m.ReadOnly {
		return "ro"
	}
	return ""
}
