package userns

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Command is a stage to start.
type Command struct {
	Stage string     // argv[0], by which main tells the stages apart
	Files []*os.File // descriptors 3, 4 and on of the stage

	Stdin, Stdout, Stderr *os.File // nil is /dev/null

	Namespaces uintptr // CLONE_NEW flags besides user and mount namespace
}

// Start runs this very binary as c.Stage in a new user and mount namespace, with
// every capability there, and returns once its maps are written. If they cannot
// be, the stage is killed and reaped.
func (p *Plan) Start(c Command) (*os.Process, error) {
	process, err := Spawn(c)
	if err != nil {
		return nil, err
	}
	if err := p.Map(process); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Stage, err)
	}
	return process, nil
}

// Spawn is the first half of Start, for a caller who has better things to do
// than to watch a stage load: what it starts has no ids yet. It must be followed
// by Map, or by killing it.
//
// One exec is enough: the stage's ids are not mapped yet when it is exec'd, so
// it is not root then and would lose its capabilities, but those in the ambient
// set stay (capabilities(7)). Its Go runtime starts while the maps are being
// written; the stage must read its first frame before it depends on an id.
//
// The stage's environment is the caller's: it pulls and needs proxies, HOME and
// the like. A stage never passes it on to a container. The stage does not die
// with the caller; it sees the end of its socket.
func Spawn(c Command) (*os.Process, error) {
	ambient, err := allCaps()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Stage, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Stage, err)
	}
	defer null.Close()
	process, err := os.StartProcess("/proc/self/exe", []string{c.Stage}, &os.ProcAttr{
		Env:   os.Environ(),
		Files: c.files(null),
		Sys: &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | c.Namespaces,
			AmbientCaps: ambient,
			Setsid:      true, // the terminal's signals are the caller's to pass on
		},
	})
	if err != nil {
		return nil, Diagnose(fmt.Errorf("start %s: %w", c.Stage, err))
	}
	return process, nil
}

// Map is the second half of Start: it writes the maps, or kills and reaps the
// stage. The pid cannot come to mean another process meanwhile: it is our child,
// and stays a zombie until we wait for it.
func (p *Plan) Map(process *os.Process) error {
	if err := p.writeMaps(process.Pid); err != nil {
		return abandoned(process, err)
	}
	return nil
}

// abandoned kills and reaps a stage that cannot have its maps. If it had gone by
// itself that is the news: the maps of a dead process are root's, so err says no
// more than "permission denied".
func abandoned(process *os.Process, err error) error {
	_ = process.Kill()
	state, waitErr := process.Wait()
	if waitErr == nil && state.Exited() {
		return fmt.Errorf("the stage ended before its ids were mapped (%v): %w", state, err)
	}
	if foreign := foreignProc(err); foreign != nil {
		return foreign
	}
	return Diagnose(err)
}

func (c Command) files(null *os.File) []*os.File {
	files := append([]*os.File{c.Stdin, c.Stdout, c.Stderr}, c.Files...)
	for i := range files[:3] {
		if files[i] == nil {
			files[i] = null
		}
	}
	return files
}

// allCaps is every capability that the running kernel knows: raising one that it
// does not fails with EINVAL.
func allCaps() ([]uintptr, error) {
	const file = "/proc/sys/kernel/cap_last_cap"
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 6)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	caps := make([]uintptr, last+1)
	for i := range caps {
		caps[i] = uintptr(i)
	}
	return caps, nil
}
