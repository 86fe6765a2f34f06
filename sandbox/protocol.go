package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/linux"
	"rootlet/internal/need"
	"rootlet/internal/stage"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/record"
	"rootlet/slirp/publish"
)

// Frames between a client and the monitor. The one that has started it speaks over
// the stage's socket pair and begins with kindRequest; every other connects to
// the container's socket and begins with kindAsk.
const (
	kindRequest stage.Kind = iota + 1 // client: Request
	kindAsk                           // client: ask
	kindResize                        // client: Size of its terminal
	kindSignal                        // client: one byte, the signal's number
	kindUnread                        // client: one byte, the kind of output that nobody reads any more

	kindNotice  // monitor: text for the user
	kindCreated // monitor: the container's id
	kindStarted // monitor: the program runs, or runs already
	kindStdout  // monitor: output
	kindStderr
	kindDone   // monitor: what was asked for is done; the last frame
	kindExited // monitor: one byte, the exit status; the last frame
	kindFailed // monitor: Failure; the last frame
)

// exitStatus reads what kindExited brings.
func exitStatus(payload []byte) (int, error) {
	if len(payload) != 1 {
		return codeEngine, fmt.Errorf("the container has ended, and its monitor says how in %d bytes: it was started by another version of rootlet", len(payload))
	}
	return int(payload[0]), nil
}

// Request is what a client wants a monitor to run.
type Request struct {
	// Start is the id of a container that is there; all below but Attach, Paths,
	// Host and Size is its own business then.
	Start string `json:"start,omitempty"`
	// CreateOnly leaves the new container to a later Start.
	CreateOnly bool `json:"createOnly,omitempty"`
	// Attach is what the client wants of the program's streams.
	Attach Attach `json:"attach,omitzero"`

	// Spec as the user's flags say; the monitor completes it from the image.
	Spec record.Spec `json:"spec"`
	// NoHealthCheck is --no-healthcheck: the image's does not count either.
	NoHealthCheck bool `json:"noHealthCheck,omitempty"`
	// ImageName is Spec.Image in full: docker.io/library/debian:latest.
	ImageName string `json:"imageName"`
	// Entrypoint was given, though it may be empty: the image's does not count.
	EntrypointSet bool `json:"entrypointSet,omitempty"`
	// Platform is --platform, nil where the user did not care: an image that is
	// here for another one does not count.
	Platform *Platform `json:"platform,omitempty"`
	// HelloID is the id of the built-in image, whose program is rootlet itself.
	// Anything but an id could be claimed by an image.
	HelloID string `json:"helloID,omitempty"`

	// NoPIDs says that the monitor could have no pid namespace.
	NoPIDs bool `json:"noPIDs,omitempty"`
	// Cgroup is where its control group can be made, where it is to have limits.
	Cgroup cgroup.Place `json:"cgroup,omitzero"`

	Paths Paths `json:"paths"`
	Host  Host  `json:"host"`
	Size  Size  `json:"size"` // of the terminal
}

// Attach says which of the program's streams a client is connected to.
type Attach struct {
	Stdin  bool `json:"stdin,omitempty"`
	Output bool `json:"output,omitempty"`
}

// ask is what a client wants of the monitor of a container that is up.
type ask struct {
	Verb    string `json:"verb"`
	Signal  string `json:"signal,omitempty"`  // kill, stop, restart: empty for the container's own
	Timeout *int   `json:"timeout,omitempty"` // stop, restart: seconds; nil for the container's own
	Final   bool   `json:"final,omitempty"`   // kill: whatever its restart policy says
	Down    bool   `json:"down,omitempty"`    // stop: the session ends, and not by the user's wish
	Attach  Attach `json:"attach,omitzero"`
	Size    Size   `json:"size,omitzero"`
	// Cgroup is where the group of one that has none can be made (update).
	Cgroup cgroup.Place `json:"cgroup,omitzero"`
	// Outside says why not all of its processes are in that (update).
	Outside string `json:"outside,omitempty"`
	// Network is how to be in one (connect), or names one (disconnect).
	Network record.Attachment `json:"network,omitzero"`
}

// What can be asked.
const (
	verbAttach  = "attach"
	verbKill    = "kill"
	verbStop    = "stop"
	verbRestart = "restart"
	verbPause   = "pause"
	verbUnpause = "unpause"
	verbUpdate  = "update" // hold the limits that are written down by now

	verbConnect    = "connect"
	verbDisconnect = "disconnect"
)

// Platform says which images will do.
type Platform struct {
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	Variants     []string `json:"variants"`
}

// Paths are the directories of rootlet's that a stage works in.
type Paths struct {
	Data    string `json:"data"`    // $XDG_DATA_HOME/rootlet
	Runtime string `json:"runtime"` // $XDG_RUNTIME_DIR/rootlet, or run/ below Data
	// Layers is a scratch in which the layers are, where they cannot be below Data.
	Layers string `json:"layers,omitempty"`
}

// Host is what the client knows of itself and its ids.
type Host struct {
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	Name   string    `json:"name"`   // login name, as far as the environment knows it
	IDMode string    `json:"idMode"` // userns.Method
	Start  time.Time `json:"start"`  // when the user's command began
}

// Size of a terminal, in characters.
type Size struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// Failure is an error on its way from the monitor to the client.
type Failure struct {
	Message string `json:"message"`
	Fix     string `json:"hint,omitempty"`
	Lacks   string `json:"lacks,omitempty"` // what of the host, by its name in internal/need
	// Code is the exit status for the client: 125, or 126 and 127 where the
	// command itself could not be executed.
	Code    int  `json:"code"`
	NoImage bool `json:"noImage,omitempty"`
	Alive   bool `json:"alive,omitempty"`
	// NotRunning: there is no program to do it to.
	NotRunning bool `json:"notRunning,omitempty"`
	// Port is the one that could not be had: only the client can see who has it.
	Port *publish.BindError `json:"port,omitempty"`
}

func (f *Failure) Error() string { return f.Message }

// Hint says what to type, if anything helps.
func (f *Failure) Hint() string { return f.Fix }

// Need is the line of doctor about it, or empty.
func (f *Failure) Need() string { return f.Lacks }

// Unwrap lets a client ask errors.Is(err, fuseoverlay.ErrNoImage), for
// record.ErrAlive, or for ErrNotRunning.
func (f *Failure) Unwrap() error {
	switch {
	case f.NoImage:
		return fuseoverlay.ErrNoImage
	case f.Alive:
		return record.ErrAlive
	case f.NotRunning:
		return ErrNotRunning
	}
	return nil
}

// Exit statuses of Docker's that are not the program's own.
const (
	codeEngine       = 125 // rootlet, not the command, failed
	codeCannotInvoke = 126
	codeNotFound     = 127
	codeSignal       = 128 // plus the signal's number
)

// failureOf packs an error for the client.
func failureOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	f = &Failure{
		Message: err.Error(), Code: codeEngine,
		NoImage: errors.Is(err, fuseoverlay.ErrNoImage), Alive: errors.Is(err, record.ErrAlive), NotRunning: errors.Is(err, ErrNotRunning),
		Lacks: need.Of(err),
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.Fix = hinted.Hint()
	}
	if f.Fix == "" && f.Lacks == "" {
		f.Fix, f.Lacks = need.Answer(err)
	}
	errors.As(err, &f.Port)
	return f
}

// NameDisk says which disk is full, where err comes of one; else what an answer of the
// kernel's means, where nobody has said.
func (f *Failure) NameDisk(err error, p Paths) {
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if full && (f.Lacks == "" || f.Lacks == need.Storage) {
		f.Fix, f.Lacks = "df -h "+p.Data+": free some space there, or remove images with rootlet rmi", need.Storage
		if !linux.IsFull(p.Data) && linux.IsFull(p.Runtime) {
			f.Fix, f.Lacks = "df -h "+p.Runtime+": free some space there", need.RuntimeDirectory
		}
	}
	if f.Fix == "" && f.Lacks == "" {
		f.Fix, f.Lacks = need.Answer(err)
	}
}

// nameHolder says who has the port that could not be had: one of the user's containers,
// or a program of his. U1, where the monitor is, does not see into those.
func (f *Failure) nameHolder(p Paths) {
	if f.Port == nil {
		return
	}
	bare := f.Port.Error()
	f.Port.FindHolder("/proc")
	named := f.Port.Error()
	if name := publisher(p, f.Port); name != "" {
		named = bare + " by the container " + name
	}
	f.Message = strings.Replace(f.Message, bare, named, 1)
}

// publisher is the container of the user's that has a port.
func publisher(p Paths, port *publish.BindError) string {
	if port.Errno != unix.EADDRINUSE || port.Address.Port() == 0 {
		return ""
	}
	entries, err := record.Root(p.Data).List()
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if e.Err == nil && e.State.Status.Up() && slices.ContainsFunc(e.State.Ports, func(b publish.Bound) bool {
			return b.Protocol == port.Protocol && b.HostPort == port.Address.Port()
		}) {
			return e.Spec.Name
		}
	}
	return ""
}

// errInterrupted is what a container that the user gave up on before it ran
// ends with.
func errInterrupted(signal int) error {
	return &Failure{Message: "interrupted before the container started", Code: codeSignal + signal}
}

// errNotStarted wraps what the first process failed with.
func errNotStarted(command string, err error) error {
	return fmt.Errorf("start %q: %w", command, err)
}
