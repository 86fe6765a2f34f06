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
	"rootlet/slirp/publish"
)

// You come here from driver.go, in the monitor, for what rootlet does itself: the
// builtin driver's stack, and published ports, each in the process of stage.Network,
// or both in one. Serve below is that process.

// ports is the name of the helper that only forwards published ports, under the drivers
// that do not.
const ports = "ports"

// Ports are a container's published ports, with the host's sockets bound.
type Ports struct {
	Bound     []publish.Bound
	Listeners []*os.File // of Bound, in its order; Start closes them
	// At is where in the container they lead to; the zero Address: to where a driver
	// with these Settings has put it.
	At Address
}

// Address is where a container is, and what stands for callers that cannot be shown to it
// as they are; invalid where there is none.
type Address struct {
	Container4 netip.Addr `json:"container4,omitzero"`
	Gateway4   netip.Addr `json:"gateway4,omitzero"`
	Container6 netip.Addr `json:"container6,omitzero"`
	Gateway6   netip.Addr `json:"gateway6,omitzero"`
}

// Egress is where a container may connect to. The builtin driver alone decides about it.
type Egress struct {
	Allowed []string // as egress.Parse reads them; none: everything
	Refused *os.File // takes what was refused; Start closes it
}

// The addresses of builtin.DefaultNet6.
var (
	containerIP6 = netip.AddrFrom16([16]byte{0: 0xfd, 14: 1})
	gatewayIP6   = netip.AddrFrom16([16]byte{0: 0xfd, 15: 2})
)

// The descriptors of our own process after those of every helper.
const (
	taskFD     = 5 // JSON of a task
	netnsFD    = 6 // the container's network namespace
	listenerFD = 7 // the first of Ports.Listeners; Egress.Refused follows the last
)

// task is what our own process is told to do.
type task struct {
	Stack    bool            `json:"stack,omitempty"` // the builtin driver's
	Settings Settings        `json:"settings"`
	IPv6     bool            `json:"ipv6,omitempty"`
	Bound    []publish.Bound `json:"bound,omitempty"`
	At       Address         `json:"at,omitzero"`
	Egress   []string        `json:"egress,omitempty"`
}

// ownArguments has the task and the namespace among the process's descriptors.
func ownArguments(stack bool) func(Options, *pipes) ([]string, func(), error) {
	return func(o Options, p *pipes) ([]string, func(), error) {
		text, err := json.Marshal(task{Stack: stack, Settings: o.Settings, IPv6: HostIP6().IsValid(), Bound: o.Ports.Bound, At: o.Ports.At, Egress: o.Egress.Allowed})
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
	parts := make(chan error, 2)
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
	if err := confine(len(t.Bound) > 0); err != nil {
		return err
	}
	if _, err := os.NewFile(readyFD, "ready").Write([]byte("1")); err != nil {
		return err
	}
	time.AfterFunc(settled, linux.LetGoOfText)
	return <-parts // either is what the process is for
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
	if t.IPv6 {
		return builtin.DefaultNet6
	}
	return netip.Prefix{}
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
	o.Policy = policy{egress.New(rules, os.NewFile(uintptr(listenerFD+len(t.Bound)), "refused"))}
	return o, nil
}

// policy shows the stack an egress.Policy; neither package knows the other.
type policy struct{ *egress.Policy }

func (p policy) Connect(c builtin.Connect) bool { return p.Policy.Connect(string(c.Protocol), c.To) }

func (t task) ports(netns *os.File, ready func()) publish.Options {
	at := t.At
	if at == (Address{}) {
		at.Container4, at.Gateway4 = t.Settings.ContainerIP(), t.Settings.GatewayIP()
		if t.Stack && t.IPv6 {
			at.Container6, at.Gateway6 = containerIP6, gatewayIP6
		}
	}
	o := publish.Options{
		Bound: t.Bound, Netns: netns, Container4: at.Container4, Gateway4: at.Gateway4, Container6: at.Container6, Gateway6: at.Gateway6,
		Ready: ready, Report: func(err error) { fmt.Fprintln(os.Stderr, err) },
	}
	for i := range t.Bound {
		o.Listeners = append(o.Listeners, os.NewFile(uintptr(listenerFD+i), "listener"))
	}
	return o
}

// confine gives up what the process needs no more: it stays root of U1 in name, with no
// capability but the one by which a socket in the container's network may have a
// client's address, and gains none by what it might execute.
func confine(ports bool) error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var keep [2]unix.CapUserData
	if ports {
		keep[0].Effective, keep[0].Permitted = 1<<unix.CAP_NET_ADMIN, 1<<unix.CAP_NET_ADMIN
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&keep[0])), 0); errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// own is our own process, as a driver.
func own(name string, stack bool) driver {
	return driver{name: name, program: "/proc/self/exe", argv0: stage.Network, arguments: ownArguments(stack)}
}
