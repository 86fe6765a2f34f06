package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
	"rootlet/sandbox/sleeper"
	"rootlet/sandbox/watch"
	"rootlet/slirp"
)

// You come here from life.go, when nothing has happened for a while. The monitor
// becomes the sleeper, a program of some hundred bytes, by execve(2); whatever
// happens then has that become the monitor again, in awake.go. The process is
// the same throughout: the container's parent, and the holder of its lock.

// awakeFor is how long nothing must have happened for the monitor to sleep.
// Becoming itself again takes it 3 ms.
const awakeFor = 2 * time.Second

// estate is what the monitor remembers over its sleep. Descriptors are numbers of
// those that it has left open.
type estate struct {
	Request Request         `json:"request"`
	ID      string          `json:"id"`
	State   record.State    `json:"state"`
	PID     int             `json:"pid"`
	PIDFD   int             `json:"pidfd"`
	Lock    int             `json:"lock"`
	Socket  int             `json:"socket"`
	Refused uintptr         `json:"refused,omitempty"`
	Delay   time.Duration   `json:"delay"`
	Began   time.Duration   `json:"began"`
	OOMs    int             `json:"ooms"`
	Held    []int           `json:"held,omitempty"`
	Probe   time.Duration   `json:"probe,omitempty"` // when the next one is due, by sinceBoot
	Look    time.Duration   `json:"look,omitempty"`  // likewise, at what is limited
	Disk    *watch.Disk     `json:"disk,omitempty"`
	Log     logfile.Pending `json:"log"`

	Scratch int                    `json:"scratch"` // -1: none
	Stdin   int                    `json:"stdin"`   // -1: none
	Console int                    `json:"console"`
	Output  map[logfile.Stream]int `json:"output"`

	// What the sleeper alone needs; Timer is 0 where nothing is due.
	Epoll   int `json:"epoll"`
	Signals int `json:"signals"`
	Timer   int `json:"timer,omitempty"`
	Binary  int `json:"binary"`

	sessionEnds bool // SIGTERM has come in our sleep

	Root     fuseoverlay.Kept `json:"root"`
	Driver   *slirp.Kept      `json:"driver,omitempty"`
	Emulator *keptEmulator    `json:"emulator,omitempty"`
	Ports    *slirp.Kept      `json:"ports,omitempty"`
	// Members are in the order of State.Endpoints.
	Members []keptMember `json:"members,omitempty"`
}

// keptMember is a place in a network.
type keptMember struct {
	FD     int  `json:"fd"`
	Routes bool `json:"routes,omitempty"`
}

// sleep has the monitor sleep, and does not return then. Otherwise it says when
// to try again.
func (m *monitor) sleep() time.Duration {
	quiet := time.Since(time.Unix(0, m.streams.last.Load()))
	if quiet < awakeFor {
		return awakeFor - quiet
	}
	if !m.idle() {
		return awakeFor
	}
	// From here on nothing may come in that would be lost.
	m.control.hold()
	m.streams.holdUp()
	for _, member := range m.net.members {
		member.place.Hold()
	}
	if m.idle() {
		m.giveUpSleep(m.hibernate())
	}
	for _, member := range m.net.members {
		member.place.Release()
	}
	m.streams.start(&m.audience, m.log)
	m.control.release()
	go m.accept(m.control)
	return awakeFor
}

// idle reports whether there is nothing that only a monitor that is awake can do.
func (m *monitor) idle() bool {
	return m.audience.quiet() && m.control.busy.Load() == 0 && m.ending.timer == nil && !m.health.busy() && !m.watching.keepsAwake() && len(m.events) == 0 && m.launcherGone.Load()
}

// giveUpSleep notes why the monitor has to stay awake; that costs memory and
// nothing else.
func (m *monitor) giveUpSleep(err error) {
	if err != nil && m.state.Error == "" {
		m.state.Error = fmt.Sprintf("the monitor cannot sleep: %v", err)
		m.writeState(false)
	}
}

// hibernate writes the estate and executes the sleeper.
func (m *monitor) hibernate() error {
	var k keeper
	defer k.close()
	e := m.estate(&k)
	m.setAlarm(&k, &e)
	e.Binary = k.mine(unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0))
	if k.err != nil {
		return k.err
	}
	var err error
	if e.Log, err = m.log.Suspend(); err != nil {
		return err
	}
	failpoint.At("sleep log suspended")
	defer func() { // still here: it did not work
		m.log, _ = logfile.Resume(m.container.Dir, m.Spec.Log, time.Now, e.Log)
	}()
	will, err := json.Marshal(e)
	if err != nil {
		return err
	}
	file, err := memory("estate", will)
	if err != nil {
		return err
	}
	defer file.Close()
	program, err := sleeper.New(sleeper.Descriptors{Epoll: e.Epoll, Signals: e.Signals, Found: k.keep(file), Binary: e.Binary})
	if err != nil {
		return err
	}
	defer program.Close()
	args := []string{stage.Sleeper, strconv.Itoa(k.keep(file))}
	if err := k.leaveOpen(); err != nil {
		return err
	}
	// SIGTERM is to wake the sleeper, and not to end it: blocked, it is read from a
	// descriptor. The mask outlives execve(2), as ignoring SIGHUP does.
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, sigterm(), nil); err != nil {
		return err
	}
	failpoint.At("sleep falls asleep")
	err = unix.Exec(linux.FDPath(program), args, failpoint.Environ())
	return errors.Join(err, unix.PthreadSigmask(unix.SIG_UNBLOCK, sigterm(), nil))
}

// sigterm is a signal set: sigset_t of both architectures.
func sigterm() *unix.Sigset_t {
	set := new(unix.Sigset_t)
	set.Val[0] = 1 << (unix.SIGTERM - 1)
	return set
}

// estate gathers what must not be forgotten.
func (m *monitor) estate(k *keeper) estate {
	request := m.Request
	e := estate{
		Request: request, ID: m.container.ID, State: m.state, PID: m.pid, PIDFD: k.number(m.pidfd),
		Lock: k.keep(m.container.Lock()), Socket: k.keep(m.control.file), Refused: m.refused, Delay: m.delay, Began: m.began, OOMs: m.oomKillsBefore,
		Held: m.held, Probe: m.health.alarm(),
		Look: m.watching.alarm(), Disk: m.watching.disk,
		Scratch: k.keep(m.scratch), Stdin: k.keep(m.streams.stdin), Console: k.keep(m.streams.console), Output: map[logfile.Stream]int{},
	}
	for stream, from := range m.streams.output {
		if fd := k.keep(from); fd >= 0 {
			e.Output[stream] = fd
		}
	}
	var err error
	if e.Root, err = m.root.Keep(); err != nil {
		k.err = err
	}
	k.number(e.Root.Output)
	for _, member := range m.net.members {
		fd, err := member.place.FD()
		if err != nil {
			k.err = err
		}
		e.Members = append(e.Members, keptMember{FD: k.number(fd), Routes: member.routes})
	}
	e.Driver, e.Ports = k.helper(m.net.driver), k.helper(m.net.ports)
	e.Emulator = k.emulator(m.emulator)
	return e
}

// helper notes what a helper needs; nil where there is none.
func (k *keeper) helper(h *slirp.Helper) *slirp.Kept {
	if h == nil {
		return nil
	}
	kept, err := h.Keep()
	if err != nil {
		k.err = err
	}
	k.number(kept.Alive)
	k.number(kept.Output)
	return &kept
}

// keeper notes the descriptors that shall outlive an execve(2).
type keeper struct {
	fds []int
	own []int // those that were opened for the sleeper alone
	err error
}

// mine takes over a descriptor that the sleeper alone needs.
func (k *keeper) mine(fd int, err error) int {
	if err != nil {
		k.err = errors.Join(k.err, err)
		return -1
	}
	k.own = append(k.own, fd)
	return k.number(fd)
}

// close is for a monitor that stays awake.
func (k *keeper) close() {
	for _, fd := range k.own {
		unix.Close(fd)
	}
}

// keep notes a file's, and returns its number; -1 for none and for one that is
// closed, as the output of a program that has closed its end.
func (k *keeper) keep(f *os.File) int {
	if f == nil {
		return -1
	}
	fd, err := linux.Descriptor(f)
	if err != nil {
		return -1
	}
	return k.number(fd)
}

func (k *keeper) number(fd int) int {
	if fd > 0 {
		k.fds = append(k.fds, fd)
	}
	return fd
}

func (k *keeper) leaveOpen() error {
	for _, fd := range k.fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// memory is an anonymous file with this content.
func memory(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// setAlarm makes an epoll descriptor on all that the monitor has to wake up for.
func (m *monitor) setAlarm(k *keeper, e *estate) {
	e.Epoll = k.mine(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	e.Signals = k.mine(unix.Signalfd(-1, sigterm(), unix.SFD_CLOEXEC|unix.SFD_NONBLOCK))
	sources := []int{e.PIDFD, e.Socket, e.Signals}
	for _, from := range e.Output {
		sources = append(sources, from)
	}
	for _, helper := range []*slirp.Kept{e.Driver, e.Ports} {
		if helper != nil {
			sources = append(sources, helper.Output) // its end closes that too
		}
	}
	if e.Emulator != nil {
		sources = append(sources, e.Emulator.Output)
	}
	for _, member := range e.Members {
		sources = append(sources, member.FD)
	}
	if e.Root.PID != 0 {
		sources = append(sources, e.Root.Output)
	}
	if at := e.alarm(); at > 0 {
		e.Timer = k.mine(timerAt(at))
		sources = append(sources, e.Timer)
	}
	for _, source := range sources {
		if k.err != nil {
			return
		}
		k.err = unix.EpollCtl(e.Epoll, unix.EPOLL_CTL_ADD, source, &unix.EpollEvent{Events: unix.EPOLLIN})
	}
}

// alarm is when there is something to do, whatever happens; 0: never.
func (e *estate) alarm() time.Duration {
	if e.Probe == 0 || e.Look == 0 {
		return max(e.Probe, e.Look)
	}
	return min(e.Probe, e.Look)
}

// timerAt is a timer that fires at a time by sinceBoot.
func timerAt(at time.Duration) (int, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("timerfd_create: %w", err)
	}
	value := unix.ItimerSpec{Value: unix.NsecToTimespec(at.Nanoseconds())}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &value, nil); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("timerfd_settime: %w", err)
	}
	return fd, nil
}
