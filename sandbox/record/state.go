package record

import "time"

// Status is what a container is doing, in Docker's words.
type Status string

// The states that exist so far.
const (
	Created Status = "created"
	Running Status = "running"
	Exited  Status = "exited"
)

// State says how a container is. It is only as true as the lock says: see Live.
type State struct {
	Version  int       `json:"version"`
	Status   Status    `json:"status"`
	PID      int       `json:"pid,omitempty"` // of its first process, on the host; for display only
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	ExitCode int       `json:"exitCode"`
	Error    string    `json:"error,omitempty"` // why it ended, where the program did not end it

	// What this host gave it.
	RootDriver string `json:"rootDriver,omitempty"`
	IDMode     string `json:"idMode,omitempty"`
}

// Lost is the state of a container that says it runs but whose monitor is gone:
// the kernel took its processes along (their parent death signal and their pid
// namespace see to it).
func (s State) lost() State {
	s.Status, s.PID = Exited, 0
	s.ExitCode = 128 + 9
	s.Error = "monitor lost: the container was killed with it"
	return s
}
