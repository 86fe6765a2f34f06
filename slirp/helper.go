package slirp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// readyWait bounds Ready. Helpers take some milliseconds; a host that needs seconds is
// in trouble.
const readyWait = 15 * time.Second

// The helper's descriptors after 0, 1 and 2.
const (
	readyFD = 3 // the helper writes "1" when the network is configured
	exitFD  = 4 // the helper ends when the other end of this pipe is gone
)

// Options say whose network it is.
type Options struct {
	// PID is a process inside the container's user and network namespaces, as the
	// caller's /proc numbers it. It must be a child that the caller has not waited
	// for, so that the number cannot belong to someone else.
	PID int
	// Driver is one of Drivers.
	Driver string
	Settings
	// Ports are published by the builtin driver, by a gate, and by StartBeside.
	Ports Ports
	// Egress is decided by the builtin driver, and by a gate before another one.
	Egress Egress
	// Ahead is what StartAhead has started for this network; nil: nothing.
	Ahead *Ahead
	// Path is the program; empty: the one that Available names.
	Path string
	// Dir is a directory of the caller's alone, for what has to have a name.
	Dir string
	// Log receives what the helper prints, as it comes; may be nil.
	Log io.Writer

	// netns is where a driver behind a gate makes its interface, instead of PID's. It is
	// the caller's.
	names bool // answer the container's questions for names
	netns *os.File
}

// Helper is a driver's program that runs.
type Helper struct {
	driver    string
	process   *os.Process
	ready     *os.File // read end
	alive     *os.File // write end of the helper's exit-fd; closed by its death and ours
	printed   *os.File // read end of what it prints
	output    *tail
	stopped   atomic.Bool
	configure func() error  // what the driver leaves to us once it is ready; may be nil
	forget    func()        // takes away what Start gave a name to
	drained   chan struct{} // closed once all it printed is read
	finished  chan struct{} // closed once the helper is reaped
	status    error         // how it ended; valid after finished
	done      chan error

	once     sync.Once
	readyErr error
	ctx      context.Context
}

// Start runs a driver's program on the namespaces of a process and returns while it
// sets itself up; Ready waits for that. It may be called from any goroutine, a locked
// one included. When ctx ends, Ready stops waiting; the helper lives on until Stop,
// or until this process is gone. The error is a *NotInstalledError or a *Failure.
func Start(ctx context.Context, o Options) (*Helper, error) {
	defer closeAll(o.Ports.Listeners)
	if o.Egress.Refused != nil {
		defer o.Egress.Refused.Close()
	}
	d, err := driverOf(o.Driver)
	if err == nil && o.Path == "" {
		o.Path, err = programOf(o.Driver)
	}
	if err != nil {
		o.Ahead.Stop()
		return nil, err
	}
	if d.arguments == nil || behindGate(o.Driver, len(o.Egress.Allowed) > 0) {
		return startOwn(ctx, o)
	}
	p, err := openPipes()
	if err != nil {
		return nil, &Failure{Step: "start " + d.name, Err: err}
	}
	defer func() { closeAll(p.child) }()
	var process *os.Process
	args, forget, err := d.arguments(o, &p)
	if err == nil {
		process, err = execute(o.Path, append([]string{d.name}, args...), p.child, 0)
	}
	if err != nil {
		p.close()
		return nil, &Failure{Step: "start " + o.Path, Err: err}
	}
	return newHelper(ctx, o, process, p, forget), nil
}

func execute(path string, argv []string, files []*os.File, namespaces uintptr) (*os.Process, error) {
	return os.StartProcess(path, argv, &os.ProcAttr{
		Dir: "/",
		// Nothing of the user's environment concerns it.
		Env:   []string{},
		Files: files,
		// Setsid keeps the terminal's Ctrl-C from it. That it dies with us is not
		// Pdeathsig's doing: that goes by the thread, and ours end when the
		// monitor executes itself anew.
		Sys: &syscall.SysProcAttr{Setsid: true, Cloneflags: namespaces},
	})
}

func newHelper(ctx context.Context, o Options, process *os.Process, p pipes, forget func()) *Helper {
	h := &Helper{
		driver: o.Driver, process: process, ready: p.ready, alive: p.alive, printed: p.output, output: &tail{},
		configure: p.configure, forget: forget, ctx: ctx,
		drained: make(chan struct{}), finished: make(chan struct{}), done: make(chan error, 1),
	}
	h.watch(o.Log)
	return h
}

// StartBeside starts what a driver leaves to a process of ours: published ports, and the
// name server where NeedsNames says so.
func StartBeside(ctx context.Context, o Options) (*Helper, error) {
	o.names = NeedsNames(o.Driver, len(o.Egress.Allowed) > 0)
	o.Driver = beside
	return Start(ctx, o)
}

// NeedsNames says that a driver leaves the name server to StartBeside.
func NeedsNames(driver string, egress bool) bool {
	return driver == Pasta && !behindGate(driver, egress)
}

// PublishesPorts says that Start takes Options.Ports itself.
func PublishesPorts(driver string, egress bool) bool {
	return driver == Builtin || behindGate(driver, egress)
}

// watch follows the helper until it is dead.
func (h *Helper) watch(log io.Writer) {
	go func() {
		defer close(h.drained)
		drain(h.printed, h.output, log)
	}()
	go func() {
		state, err := h.process.Wait()
		h.finish(state, err)
	}()
}

// Kept is a helper on its way over an execve(2) of the process that started it.
// Alive and Output are descriptors that must stay open.
type Kept struct {
	Driver string `json:"driver"`
	PID    int    `json:"pid"`
	Alive  int    `json:"alive"`
	Output int    `json:"output"`
}

// Keep says what Resume needs. It is asked of a helper that is ready.
func (h *Helper) Keep() (Kept, error) {
	alive, aliveErr := linux.Descriptor(h.alive)
	output, outputErr := linux.Descriptor(h.printed)
	return Kept{Driver: h.driver, PID: h.process.Pid, Alive: alive, Output: output}, errors.Join(aliveErr, outputErr)
}

// Resume takes over a helper in the process that its starter has become.
func Resume(k Kept) (*Helper, error) {
	process, err := os.FindProcess(k.PID) // our child: its number is nobody else's yet
	if err != nil {
		return nil, err
	}
	_ = unix.SetNonblock(k.Output, true)
	h := &Helper{
		driver: k.Driver, process: process, alive: os.NewFile(uintptr(k.Alive), "exit-fd"), printed: os.NewFile(uintptr(k.Output), "output"),
		output: &tail{}, ctx: context.Background(),
		drained: make(chan struct{}), finished: make(chan struct{}), done: make(chan error, 1),
	}
	h.once.Do(func() {}) // it was ready
	h.watch(nil)
	return h, nil
}

// finish tells who waits that the helper is dead, and why if nobody asked for it.
func (h *Helper) finish(state *os.ProcessState, err error) {
	if err == nil {
		err = errors.New(state.String())
	}
	h.status = err
	_ = h.alive.Close()
	h.awaitOutput()
	close(h.finished)
	// A FIFO is not at its end then; where there is none, the helper was ready.
	_ = h.ready.SetReadDeadline(time.Unix(1, 0))
	if !h.stopped.Load() {
		h.done <- &Failure{Step: h.driver + " ended", Err: err, Output: h.output.String()}
	}
	close(h.done)
}

// awaitOutput lets the last lines arrive. A fork of the helper may hold the pipe a
// little longer than the helper lives.
func (h *Helper) awaitOutput() {
	select {
	case <-h.drained:
	case <-time.After(100 * time.Millisecond):
	}
}

// Ready waits until the container's network is configured. It may be called more
// than once and gives the same answer. The error is a *Failure, whose Hint says
// what to do where that is known; the helper is stopped then.
func (h *Helper) Ready() error {
	h.once.Do(func() {
		h.readyErr = h.awaitReady()
		if h.readyErr == nil && h.configure != nil {
			h.readyErr = h.configure()
		}
		_ = h.ready.Close()
		h.forget()
		if h.readyErr != nil {
			h.Stop()
		}
	})
	return h.readyErr
}

func (h *Helper) awaitReady() error {
	_ = h.ready.SetReadDeadline(time.Now().Add(readyWait))
	interrupt := context.AfterFunc(h.ctx, func() { _ = h.ready.SetReadDeadline(time.Unix(1, 0)) })
	defer interrupt()
	n, err := h.ready.Read(make([]byte, 1))
	switch {
	case n == 1:
		return nil
	case h.ctx.Err() != nil:
		return &Failure{Step: "configure the network", Err: context.Cause(h.ctx)}
	case errors.Is(err, os.ErrDeadlineExceeded) && !isDone(h.finished):
		return &Failure{Step: "configure the network", Err: fmt.Errorf("%s not ready after %v", h.driver, readyWait), Output: h.output.String()}
	}
	return explain("configure the network", h.lastWords(), h.output.String(), tunDevice)
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// lastWords waits for a helper that has closed its ready-fd unwritten to end, so
// that its exit status and all it printed are there.
func (h *Helper) lastWords() error {
	select {
	case <-h.finished:
		return fmt.Errorf("%s: %w", h.driver, h.status)
	case <-time.After(time.Second):
		return fmt.Errorf("%s gave up without ending", h.driver)
	}
}

// Done delivers one *Failure when the helper dies unasked, and is closed once it is
// dead, however it died. The container lives on without a network.
func (h *Helper) Done() <-chan error { return h.done }

// Stop kills the helper and returns at once: the kernel takes some 40 ms to take a
// network namespace down, which is nobody's time to waste.
func (h *Helper) Stop() {
	h.stopped.Store(true)
	_ = h.process.Kill()
}

// PID is the helper's process, for those who count its memory.
func (h *Helper) PID() int { return h.process.Pid }
