package slirp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
)

// You come here from the monitor. own.go is what the process does.

// An Ahead is a process of our own that was started before there was a network to serve:
// a Go program takes some milliseconds until it does anything, in which the container is
// made. It waits on a socket for its task.
type Ahead struct {
	path    string
	known   task
	task    *os.File // our end of the socket
	pipes   pipes
	started chan struct{} // closed once process or err is there
	process *os.Process
	err     error
}

// StartAhead starts what a container will need of us under a driver, and does not wait
// even for that; nil where it is nothing. Options.Ahead takes it, or Stop does.
func StartAhead(driver string, s Settings, publishes, egress bool) *Ahead {
	gated := behindGate(driver, egress)
	if driver != Builtin && !publishes && !gated {
		return nil
	}
	a := newAhead(ownProgram, driver, s, gated)
	go a.start()
	return a
}

func newAhead(path, driver string, s Settings, gated bool) *Ahead {
	a := &Ahead{path: path, known: task{Stack: driver == Builtin, Settings: s}, started: make(chan struct{})}
	if gated {
		a.known.Gated = driver
	}
	return a
}

func (a *Ahead) start() {
	defer close(a.started)
	a.err = a.execute()
}

func (a *Ahead) execute() (err error) {
	known, err := json.Marshal(a.known)
	if err != nil {
		return err
	}
	if a.pipes, err = openPipes(); err != nil {
		return err
	}
	defer func() {
		closeAll(a.pipes.child)
		if err != nil {
			a.pipes.close()
		}
	}()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	a.task = os.NewFile(uintptr(fds[0]), "task")
	a.pipes.child = append(a.pipes.child, os.NewFile(uintptr(fds[1]), "task"))
	var namespaces uintptr
	if a.known.Gated != "" {
		namespaces = unix.CLONE_NEWPID // the driver is to end with it, which it has no word for
	}
	if a.process, err = execute(a.path, []string{stage.Network, string(known)}, a.pipes.child, namespaces); err != nil {
		_ = a.task.Close()
	}
	return err
}

// Await returns once the process is there, or failed to be. No clone may be made before,
// of what waits for the network: it would hold the pipe by which os.StartProcess hears
// of the exec, and each would wait for the other. Of nil it does nothing.
func (a *Ahead) Await() {
	if a != nil {
		<-a.started
	}
}

// Stop ends one that nobody needs. It returns at once; of nil it does nothing.
func (a *Ahead) Stop() {
	if a == nil {
		return
	}
	go func() {
		<-a.started
		if a.err != nil {
			return
		}
		_ = a.task.Close()
		a.pipes.close()
		_ = a.process.Kill()
		_, _ = a.process.Wait()
	}()
}

// startOwn tells a process of ours what to do.
func startOwn(ctx context.Context, o Options) (*Helper, error) {
	a := o.Ahead
	if a == nil {
		gated := behindGate(o.Driver, len(o.Egress.Allowed) > 0)
		path := o.Path
		if gated {
			path = ownProgram
		}
		a = newAhead(path, o.Driver, o.Settings, gated)
		a.start()
	}
	<-a.started
	if a.err != nil {
		return nil, &Failure{Step: "start " + a.path, Err: a.err}
	}
	if err := a.tell(o); err != nil {
		a.Stop()
		return nil, &Failure{Step: "start " + o.Driver, Err: err}
	}
	_ = a.task.Close()
	return newHelper(ctx, o, a.process, a.pipes, func() {}), nil
}

// tell sends the rest of the task. That nobody is there to read it is for Ready to find out, which
// says why.
func (a *Ahead) tell(o Options) error {
	var text []byte
	rest := task{Bound: o.Ports.Bound, At: o.Ports.At, Names: o.names, Egress: o.Egress.Allowed}
	if a.known.Gated != "" {
		rest.Path, rest.Dir = o.Path, o.Dir
	}
	if len(rest.Bound)+len(rest.Egress) > 0 || rest.Names {
		var err error
		if text, err = json.Marshal(rest); err != nil {
			return err
		}
	}
	netns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", o.PID))
	if err != nil {
		return err
	}
	defer netns.Close()
	files := append([]*os.File{netns}, o.Ports.Listeners...)
	if o.Egress.Refused != nil {
		files = append(files, o.Egress.Refused)
	}
	if err := give(a.task, text, files); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("send the task: %w", err)
	}
	return nil
}
