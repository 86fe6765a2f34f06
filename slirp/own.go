package slirp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
	"rootlet/slirp/gate"
	"rootlet/slirp/publish"
)

// You come here from driver.go, in the monitor, for what rootlet does itself: the
// builtin driver's stack, the gate before another driver, and published ports, in the
// process of stage.Network. Serve below is that process.

// ports is the name of the helper that only forwards published ports, under the drivers
// that do not.
const ports = "ports"

// Ports are a container's published ports, with the host's sockets bound.
type Ports struct {
	Bound     []publish.Bound
	Listeners []*os.File // of Bound, in its order; Start closes them
}

// Egress is where a container may connect to.
type Egress struct {
	Allowed []string // as egress.Parse reads them; none: everything
	Refused *os.File // takes what was refused; Start closes it
}

// The descriptors of our own process after those of every helper.
const (
	taskFD     = 5 // JSON of a task
	netnsFD    = 6 // the container's network namespace
	listenerFD = 7 // the first of Ports.Listeners; Egress.Refused follows the last
)

// task is what our own process is told to do.
type task struct {
	Stack    bool            `json:"stack,omitempty"` // the builtin driver's
	Gated    *gated          `json:"gated,omitempty"` // the driver behind a gate
	Settings Settings        `json:"settings"`
	IPv6     bool            `json:"ipv6,omitempty"`
	Bound    []publish.Bound `json:"bound,omitempty"`
	Egress   []string        `json:"egress,omitempty"`
}

// ownArguments has the task and the namespace among the process's descriptors.
func ownArguments(t task) func(Options, *pipes) ([]string, func(), error) {
	return func(o Options, p *pipes) ([]string, func(), error) {
		t.Settings, t.Bound, t.Egress = o.Settings, o.Ports.Bound, o.Egress.Allowed
		if t.Gated != nil {
			t.Gated.Driver, t.Gated.Dir = o.Driver, o.Dir
		}
		t.IPv6 = (t.Stack || t.Gated != nil && o.Driver == Pasta) && HostIP6().IsValid()
		text, err := json.Marshal(t)
		if err != nil {
			return nil, nil, err
		}
		fd, err := unix.MemfdCreate("task", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, nil, fmt.Errorf("memfd_create: %w", err)
		}
		what := os.NewFile(uintptr(fd), "task")
		p.child = append(p.child, what)
		if _, err := what.WriteAt(text, 0); err != nil {
			return nil, nil, err
		}
		netns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", o.PID))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", o.Driver, err)
		}
		p.child = append(append(p.child, netns), o.Ports.Listeners...)
		if o.Egress.Refused != nil {
			p.child = append(p.child, o.Egress.Refused)
		}
		return nil, func() {}, nil
	}
}

// Serve is the stage. It returns the process's exit status; what it says goes to the
// monitor, which has the other end of its output.
func Serve() int {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serve() error {
	t, err := readTask()
	if err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	netns := os.NewFile(netnsFD, "netns")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() { // the monitor is gone
		_, _ = os.NewFile(exitFD, "exit").Read(make([]byte, 1))
		cancel(nil)
	}()
	var tap *os.File
	if t.Stack {
		builtin.Tune()
		if tap, err = builtin.OpenTap(netnsFD, t.link()); err != nil {
			return tunError(err)
		}
	}
	parts := make(chan error, 3)
	if t.Gated != nil {
		if err := t.serveGated(ctx, netns, parts); err != nil {
			return err
		}
	}
	if len(t.Bound) > 0 {
		ready := make(chan struct{})
		go func() { parts <- publish.Serve(ctx, t.ports(netns, func() { close(ready) })) }()
		select {
		case <-ready:
		case err := <-parts:
			return err
		}
	}
	if t.Stack {
		o, err := t.stack(tap)
		if err != nil {
			return err
		}
		go func() { parts <- builtin.Serve(ctx, o) }()
	}
	if err := confine(len(t.Bound) > 0 || t.Gated != nil); err != nil {
		return err
	}
	if _, err := os.NewFile(readyFD, "ready").Write([]byte("1")); err != nil {
		return err
	}
	time.AfterFunc(settled, linux.LetGoOfText)
	return <-parts // each is what the process is for
}

// settled is when a start is over, and most of what it took of the binary not needed
// any more.
const settled = time.Second

func readTask() (task, error) {
	var t task
	f := os.NewFile(taskFD, "task")
	defer f.Close()
	if _, err := f.Seek(0, 0); err != nil {
		return t, err
	}
	return t, json.NewDecoder(f).Decode(&t)
}

// tunError is a device's error in the words of every driver.
func tunError(err error) error {
	var device *builtin.DeviceError
	if errors.As(err, &device) {
		return &TunError{Err: device.Err}
	}
	return err
}

func (t task) link() builtin.Link {
	return builtin.Link{MTU: t.Settings.mtu(), Net4: t.Settings.Prefix(), Net6: t.net6()}
}

func (t task) net6() netip.Prefix {
	switch {
	case !t.IPv6:
		return netip.Prefix{}
	case t.Gated != nil:
		return gate.Net6
	}
	return builtin.DefaultNet6
}

func (t task) stack(tap *os.File) (builtin.Options, error) {
	o := builtin.Options{
		Tap: tap, MTU: t.Settings.mtu(), Net4: t.Settings.Prefix(), Net6: t.net6(), HostLoopback: t.Settings.HostLoopback,
	}
	if len(t.Egress) == 0 {
		return o, nil
	}
	rules, err := egress.Parse(t.Egress)
	if err != nil {
		return o, fmt.Errorf("egress: %w", err)
	}
	o.Policy = policy{egress.New(rules, t.refused())}
	return o, nil
}

func (t task) refused() *os.File { return os.NewFile(uintptr(listenerFD+len(t.Bound)), "refused") }

// policy shows the stack an egress.Policy; neither package knows the other.
type policy struct{ *egress.Policy }

func (p policy) Connect(c builtin.Connect) bool { return p.Policy.Connect(string(c.Protocol), c.To) }

func (t task) ports(netns *os.File, ready func()) publish.Options {
	o := publish.Options{
		Bound: t.Bound, Netns: netns, Container4: t.Settings.ContainerIP(), Gateway4: t.Settings.GatewayIP(),
		Ready: ready, Report: func(err error) { fmt.Fprintln(os.Stderr, err) },
	}
	o.Container6, o.Gateway6, _ = builtin.Addresses6(t.net6())
	for i := range t.Bound {
		o.Listeners = append(o.Listeners, os.NewFile(uintptr(listenerFD+i), "listener"))
	}
	return o
}

// confine gives up what the process needs no more: it stays root of U1 in name, with no
// capability but the one by which a socket in the container's network may have a
// client's address, and a name opens what it leads to in the gate; and it gains none by
// what it might execute.
func confine(admin bool) error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var keep [2]unix.CapUserData
	if admin {
		keep[0].Effective, keep[0].Permitted = 1<<unix.CAP_NET_ADMIN, 1<<unix.CAP_NET_ADMIN
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&keep[0])), 0); errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// own is our own process, as a driver.
func own(name string, t task) driver {
	return driver{name: name, program: "/proc/self/exe", argv0: stage.Network, arguments: ownArguments(t)}
}
