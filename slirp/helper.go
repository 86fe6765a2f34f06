package slirp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// readyWait bounds Ready. slirp4netns takes about six milliseconds; a host that
// needs seconds is in trouble.
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
	// Path is the program; empty: the one that Available names.
	Path string
	// MTU of the container's interface, in bytes; 0: MTU.
	MTU int
	// Log receives what the helper prints, as it comes; may be nil.
	Log io.Writer
}

// Helper is a slirp4netns that runs.
type Helper struct {
	process  *os.Process
	ready    *os.File // read end
	alive    *os.File // write end of the helper's exit-fd; closed by its death and ours
	output   *tail
	stopped  atomic.Bool
	drained  chan struct{} // closed once all it printed is read
	finished chan struct{} // closed once the helper is reaped
	status   error         // how it ended; valid after finished
	done     chan error

	once     sync.Once
	readyErr error
	ctx      context.Context
}

// Start runs slirp4netns on the namespaces of a process and returns while it sets
// itself up; Ready waits for that. It may be called from any goroutine, a locked
// one included. When ctx ends, Ready stops waiting; the helper lives on until Stop,
// or until this process is gone. The error is ErrNotInstalled or a *Failure.
func Start(ctx context.Context, o Options) (*Helper, error) {
	if o.Path == "" {
		path, err := find(fixedDirs(), os.Getenv("PATH"))
		if err != nil {
			return nil, err
		}
		o.Path = path
	}
	p, err := openPipes()
	if err != nil {
		return nil, &Failure{Step: "start slirp4netns", Err: err}
	}
	h := &Helper{
		ready: p.ready, alive: p.alive, output: &tail{}, ctx: ctx,
		drained: make(chan struct{}), finished: make(chan struct{}), done: make(chan error, 1),
	}
	started := make(chan error, 1)
	go h.live(o, p.child, started)
	err = <-started
	closeAll(p.child)
	if err != nil {
		closeAll([]*os.File{p.ready, p.alive, p.output})
		return nil, &Failure{Step: "start " + o.Path, Err: err}
	}
	go func() {
		defer close(h.drained)
		drain(p.output, h.output, o.Log)
	}()
	return h, nil
}

// live starts the helper and stays until it is dead. One thread does both, because
// Pdeathsig goes by the thread that made the child: were it to end sooner, the
// helper would be killed under a living container. The thread is not a cost of
// that; waiting takes one in any case.
func (h *Helper) live(o Options, files []*os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	h.process, err = os.StartProcess(o.Path, arguments(o), &os.ProcAttr{
		Dir: "/",
		// Nothing of the user's environment concerns it.
		Env:   []string{},
		Files: files,
		// Setsid keeps the terminal's Ctrl-C from it.
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true},
	})
	started <- err
	if err != nil {
		return
	}
	state, err := h.process.Wait()
	h.finish(state, err)
}

// arguments is the command line: --disable-host-loopback, --enable-sandbox and
// --enable-seccomp always, and never an API socket. Run by the root of U1, the
// sandbox stays in U1 (slirp4netns(1): it enters the container's user namespace
// only when run by others).
func arguments(o Options) []string {
	mtu := o.MTU
	if mtu == 0 {
		mtu = MTU
	}
	return []string{
		program, "--configure", "--mtu=" + strconv.Itoa(mtu), "--disable-host-loopback",
		"--enable-sandbox", "--enable-seccomp",
		"--ready-fd=" + strconv.Itoa(readyFD), "--exit-fd=" + strconv.Itoa(exitFD),
		strconv.Itoa(o.PID), Device,
	}
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
	if !h.stopped.Load() {
		h.done <- &Failure{Step: "slirp4netns ended", Err: err, Output: h.output.String()}
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
		_ = h.ready.Close()
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
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Failure{Step: "configure the network", Err: fmt.Errorf("slirp4netns not ready after %v", readyWait), Output: h.output.String()}
	}
	return explain("configure the network", h.lastWords(), h.output.String(), tunDevice)
}

// lastWords waits for a helper that has closed its ready-fd unwritten to end, so
// that its exit status and all it printed are there.
func (h *Helper) lastWords() error {
	select {
	case <-h.finished:
		return fmt.Errorf("slirp4netns: %w", h.status)
	case <-time.After(time.Second):
		return errors.New("slirp4netns gave up without ending")
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
