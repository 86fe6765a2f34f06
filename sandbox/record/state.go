package record

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"rootlet/slirp/bridge"
	"rootlet/slirp/publish"
)

// Status is what a container is doing, in Docker's words.
type Status string

// The states of a container.
const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting" // between two runs of its program, by its restart policy
	Exited     Status = "exited"
	Dead       Status = "dead" // its record cannot be read
)

// Up reports whether there is a program: it runs, or is paused.
func (s Status) Up() bool { return s == Running || s == Paused }

// State says how a container is. It is only as true as the lock says: see Live.
type State struct {
	Version  int       `json:"version"`
	Status   Status    `json:"status"`
	PID      int       `json:"pid,omitempty"`  // of its first process, on the host; never signalled unchecked
	Born     string    `json:"born,omitempty"` // when that process began, as Born has it: its pid comes again
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	ExitCode int       `json:"exitCode"`
	Error    string    `json:"error,omitempty"` // why it ended, where the program did not end it

	OOMKilled bool    `json:"oomKilled,omitempty"`
	Stopped   bool    `json:"stopped,omitempty"`  // the user ended it: unless-stopped counts that
	Restarts  int     `json:"restarts,omitempty"` // by its restart policy, since the user started it
	PausedBy  string  `json:"pausedBy,omitempty"` // what holds its processes still
	Health    *Health `json:"health,omitempty"`

	// What this host gave it, and what it has to do without: words of level.go.
	Level      []string        `json:"level,omitempty"`
	Emulation  string          `json:"emulation,omitempty"` // socket of the process that answers for root emulation; empty: none does
	RootDriver string          `json:"rootDriver,omitempty"`
	Network    string          `json:"network,omitempty"`   // what auto was, or what was asked for; none where there is nothing
	Ports      []publish.Bound `json:"ports,omitempty"`     // what is published, while it runs
	Endpoints  []Endpoint      `json:"endpoints,omitempty"` // in the networks with a name, while it runs
	// NetworkRestarts counts how often the network had to be started again, in this
	// life of the program.
	NetworkRestarts int    `json:"networkRestarts,omitempty"`
	IDMode          string `json:"idMode,omitempty"`
	Cgroup          string `json:"cgroup,omitempty"` // directory of its cgroup; empty: it has none of its own
	// Cgroups are its directories by controller where cgroups are of version 1.
	Cgroups map[string]string `json:"cgroups,omitempty"`
	// LimitedBy says of each limit that was asked for, by its name, how it is held.
	LimitedBy map[string]Way `json:"limitedBy,omitempty"`
	// Processors are those that its programs are tied to, as 0-2,4; empty: to none.
	Processors string `json:"processors,omitempty"`

	// UserNS is its user namespace, as "user:[4026531837]", where its pid namespace is
	// not its own: what belongs to it is told by that then.
	UserNS string `json:"userNS,omitempty"`
	// Of a sandbox.
	Landlock  int  `json:"landlock,omitempty"`  // the version by which its files are confined, too; 0: none
	CallersID bool `json:"callersID,omitempty"` // it has the user's own id, who has no others

	// Who the program runs as, for those that join it.
	Who Who `json:"who,omitzero"`
}

// Endpoint is a container's place in a network with a name.
type Endpoint struct {
	bridge.Joined
	Device  string   `json:"device"` // its interface inside: eth0
	Aliases []string `json:"aliases,omitempty"`
}

// Network is what a container is connected by, or, before it first starts, what was
// asked for.
func (e Entry) Network() string { return cmp.Or(e.State.Network, e.Spec.Network) }

// Networks are the names of all that a container is in, or is to be in.
func (e Entry) Networks() []string {
	var names []string
	if mode := e.Network(); mode != bridge.Driver {
		names = append(names, mode)
	}
	for _, a := range e.Spec.Networks {
		names = append(names, a.Network)
	}
	return names
}

// Who is a user as the container's passwd and group files say, and his home.
type Who struct {
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Groups []int  `json:"groups,omitempty"`
	Home   string `json:"home,omitempty"`
}

// Health states, as Docker names them.
const (
	HealthStarting = "starting"
	Healthy        = "healthy"
	Unhealthy      = "unhealthy"
)

// Health is what the health checks have found.
type Health struct {
	Status        string  `json:"status"`
	FailingStreak int     `json:"failingStreak"`
	Log           []Probe `json:"log,omitempty"` // the last five, the newest last
}

// Probe is one health check that was made.
type Probe struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	ExitCode int       `json:"exitCode"`
	Output   string    `json:"output"` // at most 4096 bytes
}

// Lost is the state of a container that says it runs but whose monitor is gone:
// the kernel took its processes along (their parent death signal and their pid
// namespace see to it).
func (s State) lost() State {
	s.Status, s.PID, s.PausedBy = Exited, 0, ""
	s.ExitCode = 128 + 9
	s.Error = "monitor lost: the container was killed with it"
	return s
}

// Born tells a process from a later one of the same pid: its start time, in clock
// ticks since boot (proc_pid_stat(5), field 22). Empty: there is no process.
func Born(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// Behind the name, which may hold anything, comes field 3.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if err != nil || len(fields) < 20 {
		return ""
	}
	return fields[19]
}
