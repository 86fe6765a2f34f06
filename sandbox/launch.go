package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/cgroup"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// You come here from monitor.go. Next is checklist.go, which is what the clone
// does; life.go is where the monitor spends the container's life.

// launch clones the first process and takes turns with it until it has become
// the user's program.
func (m *monitor) launch() error {
	ours, theirs, err := turns()
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	var open handles
	defer open.close()
	f, err := m.firstProcess(int(theirs.Fd()), &open)
	if err != nil {
		return err
	}
	executable, err := m.chooseProgram(&f)
	if err != nil {
		return err
	}
	defer executable.Close()
	entrance, err := m.makeCgroup()
	if err != nil {
		return err
	}
	defer entrance.Close()
	m.oomKillsBefore = oomKills()
	if err := m.applyLimits(); err != nil {
		return err
	}
	if err := f.bind(&m.Spec, m.state); err != nil {
		return err
	}
	if m.state.LimitedBy[record.LimitPids].By == record.ByNProc {
		f.tasks = *m.Spec.Holding().Pids
	}
	m.net.ahead.Await()
	if f.own(unix.CLONE_NEWNET) {
		if err := m.shareRoot(); err != nil {
			return err
		}
	}
	m.process, err = m.startFirst(f, entrance)
	theirs.Close() // or the first process would not be missed
	m.streams.closeInside()
	m.shared.close()
	if err != nil {
		return err
	}
	failpoint.At("launch cloned")
	m.pid = m.process.PID
	m.hostPID, err = m.openPidfd()
	if err != nil {
		return errors.Join(err, m.kill())
	}
	// A user who gives up need not wait for whatever it is that takes so long.
	settled := context.AfterFunc(m.ctx, func() { m.deliver(int(unix.SIGKILL)) })
	defer settled()
	err = m.bringUp(f, ours)
	if err == nil {
		err = m.begin()
	}
	if err != nil {
		return errors.Join(m.explain(err), m.kill())
	}
	m.announceRunning()
	return nil
}

// startFirst has the first process begin in the pid namespace that it is to have: the
// one for children may be another than a thread's own (setns(2)). The Go runtime makes
// no thread from one that is locked, so that nothing else is born there.
func (m *monitor) startFirst(f first, into cgroup.Entrance) (*firstproc.Process, error) {
	start := func() (*firstproc.Process, error) {
		if into.Dir != nil {
			if process, err := firstproc.StartIn(int(into.Dir.Fd()), f.checklist(), f.cloneFlags(), m.streams.inside); err == nil {
				return process, nil
			}
		}
		f.cgroups = descriptors(into.Procs)
		return firstproc.Start(f.checklist(), f.cloneFlags(), m.streams.inside)
	}
	if m.shared.pids == nil {
		return start()
	}
	own, err := os.Open("/proc/thread-self/ns/pid")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	if err := unix.Setns(int(m.shared.pids.Fd()), unix.CLONE_NEWPID); err != nil {
		return nil, fmt.Errorf("enter the other container's pid namespace: %w", err)
	}
	process, err := start()
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWPID); back != nil {
		return process, errors.Join(err, fmt.Errorf("leave the other container's pid namespace: %w", back))
	}
	return process, err
}

// begin draws the line between a start, which a signal breaks off, and a running
// program, to which it is delivered. No signal falls between the two.
func (m *monitor) begin() error {
	m.beginMu.Lock()
	defer m.beginMu.Unlock()
	m.started.Store(m.ctx.Err() == nil)
	return m.interrupted()
}

// turns makes the descriptors on which monitor and first process take turns.
func turns() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "turns"), os.NewFile(uintptr(fds[1]), "turns"), nil
}

// firstProcess gathers what the checklist depends on. What it opens for that goes to
// open.
func (m *monitor) firstProcess(sync int, open *handles) (first, error) {
	s := &m.Spec
	caps, err := capsOf(s)
	if err != nil {
		return first{}, err
	}
	filter, err := filterFor(s, caps)
	if err != nil {
		return first{}, err
	}
	rules, version := confinement(s)
	m.state.Landlock = version
	setGroups, err := os.ReadFile("/proc/self/setgroups")
	if err != nil {
		return first{}, err
	}
	f := first{
		root: m.root.Path, sync: sync, hostname: s.Hostname, nesting: maxNesting,
		groups: m.gids.bounds(), terminal: m.streams.terminal, sandbox: s.Sandbox,
		foreign: m.shared.foreign, others: m.shared.others, shm: m.shared.shm,
		noQueues: s.IPC == record.NoShm, hostPIDs: m.sharesPIDs() && m.shared.pids == nil, refused: m.refused, without: s.Accepts,
		sysWritable: s.SystemPathsOpen,
		program: program{
			workDir: s.Process.WorkingDir, who: m.who,
			setGroups:       strings.TrimSpace(string(setGroups)) == "allow",
			noNewPrivileges: s.NoNewPrivileges, caps: caps, ruleset: rules, filter: filter,
			limits: limitsOf(Limits(s)), ignored: ignoredSignals(),
			argv: s.Process.Args(), env: environment(s, m.who.Home, s.Process.TTY),
		},
	}
	if !s.SystemPathsOpen {
		f.procMasks, f.procReadOnly, f.sysMasks = findMasks("/proc", maskedProc), findMasks("/proc", readOnlyProc), findMasks("/sys", maskedSys)
		if f.null, err = open.reserve(); err != nil {
			return f, err
		}
	}
	f.paths = candidates(f.argv[0], f.env)
	return f, f.emulate(s, m.state, open)
}

// environment is a program's: the image's and the user's, and what Docker adds
// to them.
func environment(s *record.Spec, home string, tty bool) []string {
	env := setDefault(s.Process.Env, "HOSTNAME", s.Hostname)
	env = setDefault(env, "HOME", home)
	if tty {
		env = setDefault(env, "TERM", "xterm")
	}
	return env
}

// chooseProgram opens what the first process executes: for --init and for the
// built-in image rootlet itself, else the trampoline that leads to the image's.
func (m *monitor) chooseProgram(f *first) (*os.File, error) {
	hello := m.Spec.Hello && f.argv[0] == HelloPath
	open := firstproc.Trampoline
	switch {
	case hello:
		f.isSelf, f.argv, open = true, append([]string{stage.Hello}, f.argv[1:]...), sealedSelf
	case m.Spec.Init:
		f.reaper, f.argv, open = true, append([]string{stage.Reaper}, f.argv...), sealedSelf
	}
	executable, err := open()
	if err != nil {
		return nil, err
	}
	f.executable = int(executable.Fd())
	return executable, nil
}

func limitsOf(list []record.Ulimit) []limit {
	limits := make([]limit, 0, len(list))
	for _, u := range list {
		limits = append(limits, limit{ulimits[u.Name], unix.Rlimit{Cur: uint64(u.Soft), Max: uint64(u.Hard)}})
	}
	return limits
}

// ignoredSignals are those that we were started with as ignored.
func ignoredSignals() []int {
	var ignored []int
	for n := 1; n < 32; n++ {
		if signal.Ignored(syscall.Signal(n)) {
			ignored = append(ignored, n)
		}
	}
	return ignored
}

// bringUp takes the monitor's turns: maps once the namespaces are there, the
// network while the first process does its root, release when both are done.
func (m *monitor) bringUp(f first, turn *os.File) error {
	if err := m.awaitTurn(turn, turnNamespaces); err != nil {
		return err
	}
	if f.own(unix.CLONE_NEWNET) {
		if err := m.offerSys(f); err != nil {
			return userns.Diagnose(err)
		}
	}
	if err := m.writeMaps(); err != nil {
		return err
	}
	if m.sharesPIDs() {
		var err error
		if m.state.UserNS, err = namespaceID(m.hostPID, "user"); err != nil {
			return err
		}
	}
	if err := m.adjustOOMScore(); err != nil {
		return err
	}
	failpoint.At("launch mapped")
	if err := takeTurn(turn); err != nil {
		return err
	}
	if err := m.startNetwork(); err != nil {
		return err
	}
	failpoint.At("launch prepares")
	if err := m.awaitTurn(turn, turnReady); err != nil {
		return err
	}
	failpoint.At("launch awaits network")
	if err := m.awaitNetwork(); err != nil {
		return err
	}
	if err := m.interrupted(); err != nil {
		return err
	}
	if err := takeTurn(turn); err != nil {
		return err
	}
	failpoint.At("launch executes")
	return m.process.Executed()
}

// awaitTurn waits for the first process, and hears what it has to do without.
func (m *monitor) awaitTurn(turn *os.File, want byte) error {
	for {
		var b [1]byte
		if _, err := io.ReadFull(turn, b[:]); err != nil {
			return errFirstProcess
		}
		word, lacking := lacks[b[0]]
		switch {
		case b[0] == want:
			return nil
		case !lacking:
			return fmt.Errorf("first process: turn %q where %q was due", b[0], want)
		}
		m.goWithout(word)
	}
}

func takeTurn(turn *os.File) error {
	if _, err := turn.Write([]byte{0}); err != nil {
		return errFirstProcess
	}
	return nil
}

// errFirstProcess says that the first process is gone; what it failed with is
// in its report.
var errFirstProcess = errors.New("first process died")

// writeMaps maps U2's ids to U1's. Both are within what U1 has, so that the
// kernel lets the monitor write them itself (user_namespaces(7)).
func (m *monitor) writeMaps() error {
	for file, text := range map[string]string{"uid_map": m.uids.text(), "gid_map": m.gids.text()} {
		path := fmt.Sprintf("/proc/%d/%s", m.hostPID, file)
		if err := os.WriteFile(path, []byte(text), 0); err != nil {
			return fmt.Errorf("write %s of the container: %w", file, err)
		}
	}
	return nil
}

// adjustOOMScore is --oom-score-adj. Nobody may make his processes less likely to
// be killed than they were (proc_pid_oom_score_adj(5)).
func (m *monitor) adjustOOMScore() error {
	if m.Spec.OOMScoreAdj == 0 {
		return nil
	}
	path := fmt.Sprintf("/proc/%d/oom_score_adj", m.hostPID)
	err := os.WriteFile(path, []byte(strconv.Itoa(m.Spec.OOMScoreAdj)), 0)
	if errors.Is(err, fs.ErrPermission) {
		return &Failure{
			Code: codeEngine, Message: fmt.Sprintf("--oom-score-adj %d: lower than yours, which takes root", m.Spec.OOMScoreAdj),
			Fix: "use a value above the one in /proc/self/oom_score_adj",
		}
	}
	return err
}

// explain finds the best words for a container that did not start.
func (m *monitor) explain(err error) error {
	if gaveUp := m.interrupted(); gaveUp != nil {
		return gaveUp
	}
	if errors.Is(err, errFirstProcess) {
		if reported := m.process.Executed(); reported != nil {
			err = reported
		}
	}
	var step *firstproc.StepError
	if !errors.As(err, &step) {
		return err
	}
	if isJoin(step) && step.Errno == unix.EPERM {
		return m.errAstray()
	}
	if noFilter := explainFilter(step); noFilter != nil {
		return noFilter
	}
	if step.Step != execStep {
		return m.explainRefusal(step)
	}
	return explainExec(m.Spec.Process.Args()[0], step.Errno)
}

// explainExec translates what execve answered, in Docker's words and with its
// exit codes.
func explainExec(command string, errno syscall.Errno) error {
	f := &Failure{Code: codeCannotInvoke, Message: errNotStarted(command, errno).Error()}
	switch {
	case errno == unix.ENOENT && !strings.Contains(command, "/"):
		f.Code, f.Message = codeNotFound, errNotStarted(command, errNotInPath).Error()
	case errno == unix.ENOENT || errno == unix.ENOTDIR:
		f.Code = codeNotFound
	case errno == unix.ENOEXEC:
		f.Fix = "a script needs a #! line; a program must be of this machine's architecture"
	}
	return f
}

var errNotInPath = errors.New("executable file not found in $PATH")

// kill ends a first process that must not go on, and reaps it.
func (m *monitor) kill() error {
	_ = unix.Kill(m.pid, unix.SIGKILL) // our child, not yet waited for
	_, err := m.reap()
	return err
}

// announceRunning tells client and record that the program runs.
func (m *monitor) announceRunning() {
	m.state.Status, m.state.PID, m.state.Started = record.Running, m.hostPID, time.Now().UTC()
	m.began = sinceBoot()
	m.state.Born = record.Born(m.hostPID)
	m.state.ExitCode, m.state.Finished, m.state.OOMKilled, m.state.Error = 0, time.Time{}, false, ""
	m.beginHealth()
	m.beginWatching()
	failpoint.At("launch executed")
	m.writeState(false)
	failpoint.At("launch recorded")
	_ = m.letVolumesGo()
	m.happened("start")
	failpoint.At("launch told of it")
	m.welcome()
	failpoint.At("launch welcomed")
	m.streams.start(&m.audience, m.log)
}

// welcome answers the client that has started us, and attaches it if it wants.
func (m *monitor) welcome() {
	if m.launcher == nil || m.first != nil {
		return // it has had its answer, in an earlier life of the program
	}
	_ = m.launcher.Send(kindStarted, nil)
	if m.Attach == (Attach{}) {
		m.launcher = nil // it leaves
		return
	}
	m.first = m.admit(m.launcher, m.Attach, os.Stdin)
}

// sealedSelf is a copy of this binary that nobody can change, a container's
// root included, to execute inside a container (CVE-2019-5736).
func sealedSelf() (*os.File, error) {
	binary, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	return linux.SealedCopy("rootlet", binary)
}
