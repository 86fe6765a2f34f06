package slirp

import (
	"bytes"
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

	"rootlet/internal/landlock"
	"rootlet/internal/linux"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
	"rootlet/slirp/publish"
)

// You come here from ahead.go, which has started this process: stage.Network is what
// rootlet does itself: the builtin driver's stack, or the gate before another driver;
// published ports; or both.

// beside is the name of the helper that does what a driver does not: it forwards published
// ports, or is the name server, or both.
const beside = "beside"

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

// Egress is where a container may connect to.
type Egress struct {
	Allowed []string // as egress.Parse reads them; none: everything
	Refused *os.File // takes what was refused; Start closes it
}

// ownProgram is this binary.
const ownProgram = "/proc/self/exe"

// taskFD is the descriptor of our own process after those of every helper: the socket on
// which its task comes.
const taskFD = 5

// task is what our own process is told to do: a part of it as an argument, the rest once
// the namespaces are there.
type task struct {
	Stack    bool     `json:"stack,omitempty"` // the builtin driver's
	Gated    string   `json:"gated,omitempty"` // the driver behind a gate
	Settings Settings `json:"settings,omitzero"`

	Path string `json:"path,omitempty"` // of Gated's program
	Dir  string `json:"dir,omitempty"`  // its Options.Dir

	Bound  []publish.Bound `json:"bound,omitempty"`
	At     Address         `json:"at,omitzero"`
	Names  bool            `json:"names,omitempty"` // be the name server
	Egress []string        `json:"egress,omitempty"`

	ipv6      bool     // the host has a route for it
	netns     *os.File // the container's network namespace
	listeners []*os.File
	refused   *os.File // nil without Egress
}

// Serve is the stage. It returns the process's exit status; what it says goes to the
// monitor, which has the other end of its output.
func Serve(args []string) int {
	if err := serve(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serve(args []string) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() { // the monitor is gone
		_, _ = os.NewFile(exitFD, "exit").Read(make([]byte, 1))
		cancel(nil)
	}()
	// What needs no namespace is done while the container is being made.
	t := task{ipv6: HostIP6().IsValid()}
	if err := t.begin(args); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if t.Stack {
		builtin.Tune()
	}
	openTap := builtin.TapOpener()
	if err := renounce(); err != nil {
		return err
	}
	if err := t.await(); err != nil {
		return fmt.Errorf("read the rest of the task: %w", err)
	}
	defer t.netns.Close()
	var stack builtin.Options
	if t.Stack {
		tap, err := openTap(int(t.netns.Fd()), t.link())
		if err != nil {
			return tunError(err)
		}
		if stack, err = t.stack(tap); err != nil {
			return err
		}
	}
	parts := make(chan error, 4)
	if t.Gated != "" {
		if err := t.serveGated(ctx, parts); err != nil {
			return err
		}
	}
	if t.Names {
		relay, err := builtin.ListenRelay(int(t.netns.Fd()), t.Settings.NameserverIP())
		if err != nil {
			return err
		}
		go func() { parts <- relay.Serve(ctx) }()
	}
	if len(t.Bound) > 0 {
		ready := make(chan struct{})
		go func() { parts <- publish.Serve(ctx, t.ports(func() { close(ready) })) }()
		select {
		case <-ready:
		case err := <-parts:
			return err
		}
	}
	// The program may begin: what it sends waits in the tap.
	if _, err := os.NewFile(readyFD, "ready").Write([]byte("1")); err != nil {
		return err
	}
	if err := landlock.Restrict(needs()); err != nil {
		return err
	}
	if err := confine(len(t.Bound) > 0 || t.Gated != ""); err != nil {
		return err
	}
	if t.Stack {
		go func() { parts <- builtin.Serve(ctx, stack) }()
	}
	time.AfterFunc(settled, linux.LetGoOfText)
	return <-parts // each is what the process is for
}

// settled is when a start is over, and most of what it took of the binary not needed
// any more.
const settled = time.Second

// begin takes what was known when the process was started.
func (t *task) begin(args []string) error {
	if len(args) != 1 {
		return errors.New("one argument is due")
	}
	return json.Unmarshal([]byte(args[0]), t)
}

// await takes the rest of the task, perhaps as late as a container is made.
func (t *task) await() error {
	text, fds, err := take(taskFD)
	_ = unix.Close(taskFD)
	if err != nil {
		return err
	}
	if text = bytes.TrimSpace(text); len(text) > 0 {
		if err := json.Unmarshal(text, t); err != nil {
			return err
		}
	}
	names := []string{"netns"}
	for range t.Bound {
		names = append(names, "listener")
	}
	if len(t.Egress) > 0 {
		names = append(names, "refused")
	}
	if len(fds) != len(names) {
		return fmt.Errorf("%d descriptors came, and not %d", len(fds), len(names))
	}
	var files []*os.File
	for i, name := range names {
		_ = unix.SetNonblock(fds[i], false) // or the runtime would poll it, besides its users
		files = append(files, os.NewFile(uintptr(fds[i]), name))
	}
	t.netns, t.listeners = files[0], files[1:1+len(t.Bound)]
	if len(t.Egress) > 0 {
		t.refused = files[len(files)-1]
	}
	return nil
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
	if t.ipv6 {
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
	o.Policy = policy{egress.New(rules, t.refused)}
	return o, nil
}

// policy shows the stack an egress.Policy; neither package knows the other.
type policy struct{ *egress.Policy }

func (p policy) Connect(c builtin.Connect) bool { return p.Policy.Connect(string(c.Protocol), c.To) }

func (t task) ports(ready func()) publish.Options {
	at := t.At
	if at == (Address{}) {
		at.Container4, at.Gateway4 = t.Settings.ContainerIP(), t.Settings.GatewayIP()
		if t.ipv6 {
			at.Container6, at.Gateway6 = containerIP6, gatewayIP6
		}
	}
	return publish.Options{
		Bound: t.Bound, Listeners: t.listeners, Netns: t.netns,
		Container4: at.Container4, Gateway4: at.Gateway4, Container6: at.Container6, Gateway6: at.Gateway6,
		Ready: ready, Report: func(err error) { fmt.Fprintln(os.Stderr, err) },
	}
}

// renounce has the process gain nothing by what it might execute.
func renounce() error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	return nil
}

// needs are what the process goes on reading: where names are looked up, and its own
// maps. Of what a container sends it, nothing may lead to another file, or change one.
func needs() landlock.Needs {
	return landlock.Needs{
		Read:    append([]string{"/etc", "/proc"}, landlock.Behind("/etc/resolv.conf", "/etc/hosts")...),
		Connect: true, Bind: true,
	}
}

// confine gives up what the process needs no more: it stays root of U1 in name, with no
// capability but the one by which a socket in the container's network may have a
// client's address, and a name opens what it leads to in the gate.
func confine(admin bool) error {
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
