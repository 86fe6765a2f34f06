package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/emulation"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/identity"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/sandbox/seccomp"
)

// Root emulation: where the caller's is the one id that there is, the kernel refuses what
// root does to owners and ids, and with it what installs packages. A filter of system calls
// has such calls answered by a process beside the monitor (package emulation), or, where
// the kernel cannot do that, by a success that nothing comes of. You come here from
// monitor.go, and from joined.go for what joins a container.

// chooseEmulation decides whether this life of the container has root emulation, and
// starts the process that answers.
func (m *monitor) chooseEmulation() error {
	m.state.Emulation = ""
	m.state.Level = slices.DeleteFunc(m.state.Level, func(word string) bool { return word == record.RootEmulation || word == record.ZeroConsistency })
	if m.Spec.NoRootEmulation || m.Spec.Sandbox || !m.uids.rootAlone() || !m.gids.rootAlone() {
		return nil
	}
	words, why := EmulationLevel()
	if why == nil && !m.CreateOnly {
		if m.emulator, why = startEmulator(emulationPaths(m.Paths, m.container.ID)); why == nil {
			m.state.Emulation = m.emulator.path
		} else {
			words = append(words, record.ZeroConsistency)
		}
	}
	m.state.Level = append(m.state.Level, words...)
	if why != nil {
		m.notice(fmt.Sprintf("root emulation without memory: chown and setuid succeed and do nothing, and stat does not tell what they said (%v)", why))
	}
	return nil
}

// rootAlone says that the one id there is, is the caller's, and 0 inside.
func (m idMap) rootAlone() bool { return m.callersAlone() && m[0].ContainerID == 0 }

// EmulationLevel is what root emulation is on this host, as words of record.State.Level,
// and why it is not better.
func EmulationLevel() ([]string, error) {
	if why := remembers(); why != nil {
		return []string{record.RootEmulation, record.ZeroConsistency}, why
	}
	return []string{record.RootEmulation}, nil
}

// remembers says why the kernel cannot have calls answered by another process; nil:
// it can. All that is asked of it is there since Linux 5.9.
func remembers() error {
	machine, err := seccomp.Here(func(string) bool { return true })
	if err != nil {
		return err
	}
	if slices.Compare(machine.Kernel[:], []int{5, 9}) < 0 {
		return fmt.Errorf("the kernel is Linux %d.%d: it takes 5.9", machine.Kernel[0], machine.Kernel[1])
	}
	action := uint32(unix.SECCOMP_RET_USER_NOTIF)
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))); errno != 0 {
		return fmt.Errorf("the kernel has no seccomp notifications: %w", errno)
	}
	if err := emulation.Check(); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(status), "\nSeccomp_filters:\t0\n") {
		return listensAlone()
	}
	return nil
}

// listensAlone finds out whether a filter of whoever has started us has a listener: there
// can be one for a process (EBUSY). The thread that tries it out ends with it.
func listensAlone() error {
	tried := make(chan error)
	go func() {
		tried <- linux.OwnThread()(func() error {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return err
			}
			allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
			program := unix.SockFprog{Len: 1, Filter: &allow}
			fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
			if errno != 0 {
				return fmt.Errorf("no listener for seccomp notifications: %w", errno)
			}
			return unix.Close(int(fd))
		})
	}()
	return <-tried
}

// emulationPaths are where the socket may be that takes listeners, beside the monitor's own.
func emulationPaths(p Paths, id string) []string {
	paths := socketPaths(p, id)
	for i := range paths {
		paths[i] += "-emulation"
	}
	return paths
}

// emulator is the process that answers, seen from the monitor.
type emulator struct {
	process *os.Process
	alive   *os.File   // write end: the process ends with the last one of it
	output  *os.File   // what it prints, and the sign that it is gone
	path    string     // of the socket that takes listeners
	done    chan error // delivers why it ended
}

func startEmulator(paths []string) (*emulator, error) {
	listener, path, err := listenFirst(paths)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	aliveIn, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer aliveIn.Close()
	output, printed, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	defer printed.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, alive.Close(), output.Close())
	}
	defer null.Close()
	process, err := os.StartProcess("/proc/self/exe", []string{stage.Emulator}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{null, null, printed, listener, aliveIn},
		Sys: &syscall.SysProcAttr{Setsid: true}, // out of reach of the terminal's Ctrl-C
	})
	if err != nil {
		return nil, errors.Join(err, alive.Close(), output.Close())
	}
	e := &emulator{process: process, alive: alive, output: output, path: path}
	e.watch()
	return e, nil
}

// listenFirst makes a socket at the first of some paths where there can be one.
func listenFirst(paths []string) (*os.File, string, error) {
	var errs []error
	for _, path := range paths {
		l, err := linux.ListenUnix(path)
		if err == nil {
			defer l.Close()
			file, err := l.File()
			return file, path, err
		}
		errs = append(errs, err)
	}
	return nil, "", errors.Join(errs...)
}

// watch hears of its end.
func (e *emulator) watch() {
	e.done = make(chan error, 1)
	go func() {
		said, _ := io.ReadAll(io.LimitReader(e.output, 4096))
		state, err := e.process.Wait()
		if err == nil {
			err = errors.New(state.String())
		}
		if text := strings.TrimSpace(string(said)); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		e.done <- err
	}()
}

// ended delivers why it has ended; of nil it blocks for ever.
func (e *emulator) ended() <-chan error {
	if e == nil {
		return nil
	}
	return e.done
}

// stop ends it; of nil it does nothing.
func (e *emulator) stop() {
	if e == nil {
		return
	}
	_ = e.process.Kill()
	_ = e.alive.Close()
	_ = os.Remove(e.path)
}

// keptEmulator is an emulator on its way over an execve(2) of the monitor.
type keptEmulator struct {
	PID    int `json:"pid"`
	Alive  int `json:"alive"`
	Output int `json:"output"`
}

// emulator notes what one needs; nil where there is none.
func (k *keeper) emulator(e *emulator) *keptEmulator {
	if e == nil {
		return nil
	}
	return &keptEmulator{PID: e.process.Pid, Alive: k.keep(e.alive), Output: k.keep(e.output)}
}

func resumeEmulator(k *keptEmulator, path string) (*emulator, error) {
	if k == nil {
		return nil, nil
	}
	process, err := os.FindProcess(k.PID) // our child: its number is nobody else's yet
	if err != nil {
		return nil, err
	}
	e := &emulator{process: process, alive: os.NewFile(uintptr(k.Alive), "alive"), output: reopen(k.Output), path: path}
	e.watch()
	return e, nil
}

// lostEmulator is what becomes of a container whose calls nobody answers any more: the
// kernel says ENOSYS to stat(2), under which no program does what it should.
func (m *monitor) lostEmulator(cause error) {
	m.doom = fmt.Errorf("root emulation has ended, and the container was killed: %w", cause)
	m.deliver(int(unix.SIGKILL))
}

// emulated is root emulation as a process of the container needs it before it becomes a
// program; nil: none.
type emulated struct {
	filter seccomp.Filter
	socket int // to who takes the listener; -1 under zero consistency
}

// emulate completes a program with the root emulation that its container has. What is
// opened for it goes to open.
func (g *program) emulate(spec *record.Spec, s record.State, open *handles) error {
	if !slices.Contains(s.Level, record.RootEmulation) {
		return nil
	}
	machine, err := seccomp.Here((g.caps | emulatedCaps(spec)).has)
	if err != nil {
		return err
	}
	g.emulated = &emulated{filter: seccomp.Emulation(machine, s.Emulation != ""), socket: -1}
	if s.Emulation == "" {
		return nil
	}
	socket, err := linux.DialUnix(s.Emulation)
	if err != nil {
		return fmt.Errorf("root emulation: %w", err)
	}
	hello := emulation.Hello{UID: uint32(g.who.UID), GID: uint32(g.who.GID), Caps: uint64(g.caps | emulatedCaps(spec)), Serves: serves(spec)}
	for _, gid := range g.who.Groups {
		hello.Groups = append(hello.Groups, uint32(gid))
	}
	if err := emulation.Announce(socket, hello); err != nil {
		return errors.Join(err, socket.Close())
	}
	if g.emulated.socket, err = open.addFile(socket, nil); err != nil {
		return err
	}
	if err := unix.SetNonblock(g.emulated.socket, false); err != nil {
		return err
	}
	if g.who.UID != 0 {
		g.caps = 0 // which root would not have left it
	}
	g.who = identity.Identity{Home: g.who.Home, Name: g.who.Name} // whom the kernel knows
	return nil
}

// emulatedCaps are those that containers do not have, as they mean nothing in a user
// namespace, and that make what can be pretended: devices. Who drops it is taken at his word.
func emulatedCaps(s *record.Spec) capSet {
	dropped, all, err := parseCaps(s.CapDrop)
	if err != nil || all {
		return 0
	}
	return 1 << unix.CAP_MKNOD &^ dropped
}

// serves says that a program of the container's can serve a file system.
func serves(s *record.Spec) bool {
	return s.Privileged || slices.ContainsFunc(s.Devices, func(d record.Device) bool { return d.Source == "/dev/fuse" })
}

// Descriptors of a process with root emulation, behind those that it keeps anyway.
const (
	emulationFD = programFD + 1 // its socket, once nothing else is open
	listenerFD  = programFD + 8
)

// hasEmulator says that somebody answers for the process.
func (g program) hasEmulator() bool { return g.emulated != nil && g.emulated.socket >= 0 }

// keepEmulator gives its socket a number to be kept under.
func (g program) keepEmulator(p *firstproc.Program, fd int) {
	p.Call("keep the way to root emulation", unix.SYS_DUP3, []uintptr{uintptr(g.emulated.socket), uintptr(fd), unix.O_CLOEXEC})
}

// loadEmulation loads the filter, and hands its listener over. It comes before the
// container's own filter, which may forbid all of this.
func (g program) loadEmulation(p *firstproc.Program) {
	e := g.emulated
	if e == nil {
		return
	}
	const step, hand = "load the filter of root emulation", "hand the listener to root emulation"
	code := &unix.SockFprog{Len: uint16(len(e.filter.Code)), Filter: &e.filter.Code[0]}
	p.Call(step, unix.SYS_SECCOMP, []uintptr{unix.SECCOMP_SET_MODE_FILTER, uintptr(e.filter.Flags), firstproc.Pointer(p, code)})
	if e.socket < 0 {
		return
	}
	p.SaveResult()
	p.CallSaved(hand, unix.SYS_DUP3, []uintptr{listenerFD, unix.O_CLOEXEC})
	sendDescriptor(p, hand, emulationFD, listenerFD)
	p.Await(emulationStep, emulationFD)
}

// emulationStep fails where the other side has gone, or cannot do what it should.
const emulationStep = "wait for root emulation"

// aptDropIn has apt not give up root, which it verifies, where nothing remembers that it
// did; apt.conf.d(5) reads it last.
const aptDropIn = "/etc/apt/apt.conf.d/zz-rootlet"

// addAptDropIn writes that where there is an apt.
func (m *monitor) addAptDropIn(root *os.File, generated map[string]string) error {
	if !slices.Contains(m.state.Level, record.ZeroConsistency) {
		return nil
	}
	dir, err := rootfs.Find(root, filepath.Dir(aptDropIn))
	if err != nil {
		return nil // there is none
	}
	dir.Close()
	path := filepath.Join(m.container.Dir, "apt.conf")
	if err := os.WriteFile(path, []byte("APT::Sandbox::User \"root\";\n"), 0o644); err != nil {
		return err
	}
	generated[aptDropIn] = path
	return m.giveToRoot(path)
}
