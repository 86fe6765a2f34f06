package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/identity"
)

// You come here from exec.go. Next is joining.go, which is what the clone does.

// ExecRequest is a program to run in a container that runs.
type ExecRequest struct {
	Args       []string
	Env        []string // KEY=VALUE, over the container's own
	WorkDir    string   // empty: the container's
	User       string   // as exec's -u; empty: the container's
	Privileged bool     // with every capability over the container's own namespaces
	TTY        bool
	Size       Size // of the terminal
}

// joined is a program that runs in a container besides its first.
type joined struct {
	child   *firstproc.Child
	between int      // the process that waits for it; our child
	socket  *os.File // on which that one speaks
	console *os.File // the terminal's other end; nil without one

	mu sync.Mutex // held while the child is signalled, or the means to do so dropped
}

// join starts a program in the container. stdio are handles; with a terminal the
// program gets that in their place. An error is a *Failure where the request is
// at fault.
func (t *Target) join(r ExecRequest, stdio [3]int) (*joined, error) {
	var open handles
	defer open.close()
	g, err := t.program(r)
	if err != nil {
		return nil, err
	}
	if err := g.emulate(t.spec, t.state, &open); err != nil {
		return nil, err
	}
	if g.executable, err = open.addFile(firstproc.Trampoline()); err != nil {
		return nil, err
	}
	way := joiner{way: t.way, program: g}
	j := &joined{}
	if j.socket, way.child, err = socketFor(&open); err != nil {
		return nil, err
	}
	var console *os.File
	if r.TTY {
		way.terminal = &newTerminal{size: unix.Winsize{Row: r.Size.Rows, Col: r.Size.Columns}}
		if console, way.terminal.socket, err = socketFor(&open); err != nil {
			return nil, errors.Join(err, j.socket.Close())
		}
		defer console.Close()
	}
	process, err := t.start(way, stdio)
	if err != nil {
		return nil, errors.Join(err, j.socket.Close())
	}
	open.close() // the ends that are the other side's: where it dies, we are to see it
	j.between = process.PID
	if err := j.follow(process, console); err != nil {
		return nil, j.abandon(explainJoin(g, err))
	}
	return j, nil
}

// start has the joiner begin in the container's control group, or enter it, as far as
// this host lets it.
func (t *Target) start(j joiner, stdio [3]int) (*firstproc.Process, error) {
	group := cgroup.Of(t.state, t.spec.ID)
	if group == nil {
		return firstproc.Start(j.checklist(), 0, stdio)
	}
	into, err := group.Entrance()
	if err != nil { // another user's, as after su(1)
		return firstproc.Start(j.checklist(), 0, stdio)
	}
	defer into.Close()
	if into.Dir != nil {
		begin := func() (*firstproc.Process, error) {
			return firstproc.StartIn(int(into.Dir.Fd()), j.checklist(), 0, stdio)
		}
		process, err := begin()
		if errors.Is(err, unix.EACCES) && cgroup.Join(BusUser(), t.state.Cgroup, os.Getpid()) == nil {
			process, err = begin()
		}
		if err == nil {
			return process, nil
		}
	}
	j.cgroups = descriptors(into.Procs)
	return firstproc.Start(j.checklist(), 0, stdio)
}

// socketFor makes a pair of sockets, the second for the process to be cloned.
func socketFor(open *handles) (*os.File, int, error) {
	ours, theirs, err := turns()
	if err != nil {
		return nil, -1, err
	}
	fd, err := open.addFile(theirs, nil)
	if err != nil {
		return nil, -1, errors.Join(err, ours.Close())
	}
	return ours, fd, nil
}

// program gathers what the joiner becomes.
func (t *Target) program(r ExecRequest) (program, error) {
	if len(r.Args) == 0 || r.Args[0] == "" {
		return program{}, errors.New("no command given")
	}
	who, err := t.who(r.User)
	if err != nil {
		return program{}, &Failure{Code: codeCannotInvoke, Message: err.Error()}
	}
	caps, err := capsOf(t.spec)
	if err != nil {
		return program{}, err
	}
	if r.Privileged && t.spec.Sandbox {
		return program{}, &Failure{Code: codeEngine, Message: "--privileged: the container was made with --sandbox, in which no program has a capability"}
	}
	if r.Privileged {
		caps = allCaps()
	}
	filter, err := filterFor(t.spec, caps)
	if err != nil {
		return program{}, err
	}
	workDir := r.WorkDir
	if workDir == "" {
		workDir = t.spec.Process.WorkingDir
	}
	if !path.IsAbs(workDir) {
		return program{}, &Failure{Code: codeCannotInvoke, Message: fmt.Sprintf("the working directory %q is not an absolute path", workDir)}
	}
	spec := *t.spec
	spec.Process.Env = mergeEnv(spec.Process.Env, r.Env)
	rules, _ := confinement(&spec)
	g := program{
		workDir: path.Clean(workDir), who: who,
		setGroups: t.setGroups, noNewPrivileges: spec.NoNewPrivileges, caps: caps, ruleset: rules, filter: filter,
		limits: limitsOf(Limits(&spec)), ignored: ignoredSignals(),
		argv: r.Args, env: environment(&spec, who.Home, r.TTY),
	}
	g.paths = candidates(g.argv[0], g.env)
	return g, g.bind(&spec, t.state)
}

// who is the user that the request names. Without a name it is the one that the
// container was started as, even should its files say otherwise by now.
func (t *Target) who(user string) (identity.Identity, error) {
	if user != "" {
		return t.lookup(user, nil)
	}
	if w := t.state.Who; w.Home != "" {
		return identity.Identity{UID: w.UID, GID: w.GID, Groups: w.Groups, Home: w.Home}, nil
	}
	return t.lookup(t.spec.Process.User, t.spec.Process.GroupAdd)
}

// follow waits until the program runs.
func (j *joined) follow(process *firstproc.Process, console *os.File) error {
	var err error
	if j.child, err = firstproc.AwaitChild(j.socket); err != nil {
		return errors.Join(process.Executed(), err)
	}
	if err := process.Executed(); err != nil {
		return err
	}
	if console != nil {
		j.console, err = receiveFile(console)
	}
	return err
}

// abandon ends a program that was not to be, and reaps what there is of it.
func (j *joined) abandon(err error) error {
	if j.child != nil {
		j.signal(unix.SIGKILL)
		_, _ = j.child.Wait()
		j.closePidfd()
	}
	_, _ = collect(j.between)
	return errors.Join(err, j.socket.Close())
}

// explainJoin finds the best words for a program that did not start. Whatever it
// was, exec exits as Docker does: 127 for what is not there, else 126.
func explainJoin(g program, err error) error {
	var step *firstproc.StepError
	if !errors.As(err, &step) {
		return err
	}
	if step.Step == execStep {
		return explainExec(g.argv[0], step.Errno)
	}
	f := &Failure{Code: codeCannotInvoke, Message: step.Error()}
	switch {
	case step.Errno == unix.EAGAIN && strings.HasSuffix(step.Step, "pid namespace"):
		f.Message = "the container has as many processes as it may: see --pids-limit"
	case step.Errno == unix.ENOMEM && strings.HasSuffix(step.Step, "pid namespace"):
		// Its pid 1 is gone (pid_namespaces(7)).
		f.Code, f.Message = 1, "container is not running: it has just ended"
	case step.Step == enterStep+g.workDir && (step.Errno == unix.ENOENT || step.Errno == unix.ENOTDIR):
		f.Code = codeNotFound
	case step.Errno == unix.EINVAL && (step.Step == setUserStep || step.Step == setGroupStep):
		f.Message = fmt.Sprintf("run as user %d, group %d: not both have an id on this host", g.who.UID, g.who.GID)
	}
	return f
}

// wait returns the program's exit status as a shell would give it.
func (j *joined) wait() (int, error) {
	status, err := j.child.Wait()
	j.closePidfd()
	_, _ = collect(j.between)
	err = errors.Join(err, j.socket.Close())
	switch {
	case err != nil:
		return codeSignal + int(unix.SIGKILL), fmt.Errorf("the process that waits for %d was killed: %w", j.child.PID, err)
	case status.Signaled():
		return codeSignal + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// signal signals the program and nobody else, also when it is gone.
func (j *joined) signal(s unix.Signal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.child.PIDFD >= 0 {
		_ = unix.PidfdSendSignal(j.child.PIDFD, s, nil, 0)
	}
}

func (j *joined) closePidfd() {
	j.mu.Lock()
	defer j.mu.Unlock()
	unix.Close(j.child.PIDFD)
	j.child.PIDFD = -1
}

// collect reaps a child of ours that has ended, or is about to.
func collect(pid int) (status unix.WaitStatus, err error) {
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			return status, err
		}
	}
}

// receiveFile takes the descriptor that is waiting on a socket (unix(7)). The
// file can be polled.
func receiveFile(socket *os.File) (*os.File, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	console, err := linux.FileOf(control[:n], "console")
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	return console, nil
}
