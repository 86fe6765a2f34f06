package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
	"rootlet/sandbox"
	"rootlet/userns"
)

// unshareCmd is `rootlet unshare`: a command that may read and write what belongs to
// the user's subordinate ids, as an archiver of the store must.
type unshareCmd struct {
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments; your shell if not given."`
}

// Run has a worker become the command. It exits as that does.
func (c *unshareCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return &engineError{err}
	}
	plan, err := a.plan(paths)
	if err != nil {
		return &engineError{err}
	}
	words := c.Command
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{os.Getenv("SHELL")}
		if words[0] == "" {
			words[0] = "/bin/sh"
		}
	}
	program, err := exec.LookPath(words[0])
	if err != nil {
		return notExecutable(words[0], err)
	}
	status, err := a.unshared(plan, paths, unshareWork{Program: program, Args: words})
	if err != nil {
		return &engineError{err}
	}
	return exitStatus(status)
}

func notExecutable(name string, err error) error {
	f := &sandbox.Failure{Message: fmt.Sprintf("%s: %v", name, errors.Unwrap(err)), Code: exitNotFound}
	if errors.Is(err, os.ErrPermission) {
		f.Code = exitNotExecutable
	}
	return f
}

func (a *app) unshared(plan *userns.Plan, paths sandbox.Paths, w unshareWork) (int, error) {
	conn, theirs, err := stage.Pair()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	a.catchSignals()
	process, err := plan.Start(userns.Command{Stage: stage.Worker, Files: []*os.File{theirs}, Stdin: a.stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	theirs.Close()
	if err != nil {
		return 0, err
	}
	if err := conn.SendJSON(kindWork, work{Paths: paths, Unshare: &w}); err != nil {
		return 0, errors.Join(err, died(process))
	}
	ended := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := process.Wait()
		ended <- state
	}()
	for {
		select {
		case s := <-a.signals:
			if s != syscall.SIGCHLD && s != syscall.SIGURG {
				_ = process.Signal(s)
			}
		case state := <-ended:
			return statusOf(conn, state)
		}
	}
}

// statusOf is how the command ended, or why it never began.
func statusOf(conn *stage.Conn, state *os.ProcessState) (int, error) {
	if kind, payload, err := conn.Recv(); err == nil && kind == kindFailed {
		return 0, errors.New(string(payload))
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return 0, errors.New("how the command ended is not known")
	}
	if status.Signaled() {
		const bySignal = 128
		return bySignal + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// unshareWork is a command that the worker becomes, with every right over the ids that
// its user namespace has, and mounts that nobody else sees.
type unshareWork struct {
	Program string   `json:"program"`
	Args    []string `json:"args"`
}

func (w *unshareWork) become(conn *stage.Conn) int {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
	if err == nil {
		err = unix.Exec(w.Program, w.Args, os.Environ()) // closes the connection
	}
	_ = conn.Send(kindFailed, fmt.Appendf(nil, "%s: %v", w.Program, err))
	return ExitEngine
}

// The statuses of a command that cannot begin, as those of exec.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)
