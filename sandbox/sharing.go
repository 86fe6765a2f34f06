package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// --network container:NAME. You come here from run.go, which starts the monitor, and
// from network.go and launch.go in that monitor.
//
// A network namespace is owned by the U2 of its container, and is entered with
// CAP_SYS_ADMIN over that: so that the monitor of a container that shares it is made in
// the U1 of the other. It makes its own U2 there, beside the other's and not below it:
// no process of the one container has a right over the other, nor over the network.

// beside is Prepare for a container that shares another's network.
func beside(root record.Root, other string, host Host) (*Spare, error) {
	spec, err := root.Spec(other)
	if err != nil {
		return nil, fmt.Errorf("cannot join network of container %s: %w", short(other), gone(err, other))
	}
	state, err := root.Live(other)
	if err != nil {
		return nil, err
	}
	if err := sharable(&spec, state); err != nil {
		return nil, err
	}
	if state.IDMode != host.IDMode {
		return nil, &Failure{
			Code:    codeEngine,
			Message: fmt.Sprintf("cannot join network of container %s: it was started when you had other ids (%s, now %s)", spec.Name, state.IDMode, host.IDMode),
			Fix:     "rootlet stop " + spec.Name + " && rootlet start " + spec.Name,
		}
	}
	spare, err := prepare(func(c userns.Command) (*os.Process, error) { return StartInside(root, other, c) })
	if errors.Is(err, ErrNotRunning) {
		state.Status = record.Exited
		err = sharable(&spec, state)
	}
	if err == nil {
		spare.mapped = true
	}
	return spare, err
}

// sharable says in Docker's words why a container's network cannot be joined.
func sharable(s *record.Spec, state record.State) error {
	switch {
	case state.Status.Up():
		return nil
	case state.Status == record.Restarting:
		return &Failure{Code: codeEngine, Message: fmt.Sprintf("container %s is restarting, wait until the container is running", s.Name)}
	}
	return &Failure{
		Code:    codeEngine,
		Message: fmt.Sprintf("cannot join network of a non running container: %s is %s", s.Name, state.Status),
		Fix:     "rootlet start " + s.Name,
	}
}

func short(id string) string { return id[:min(12, len(id))] }

// gone is the error of a container that is no more.
func gone(err error, id string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &record.NotFoundError{Given: short(id)}
	}
	return err
}

// Astray reports whether a container that runs shares the network of another which has
// got another monitor since: its own, in the U1 of the old one, cannot join it again.
func Astray(root record.Root, spec *record.Spec) bool {
	other := record.SharesWith(spec.Network)
	if other == "" {
		return false
	}
	here, err := userNamespace(root, spec.ID)
	if err != nil {
		return false
	}
	defer here.Close()
	there, err := userNamespace(root, other)
	if err != nil {
		return false
	}
	defer there.Close()
	var a, b unix.Stat_t
	return unix.Fstat(int(here.Fd()), &a) == nil && unix.Fstat(int(there.Fd()), &b) == nil && a.Ino != b.Ino
}

// shareNetwork opens the network namespace that the container is to have: it is another
// one at each start where the other container was started again.
func (m *monitor) shareNetwork() error {
	other := record.SharesWith(m.Spec.Network)
	if other == "" || m.CreateOnly {
		return nil
	}
	root := record.Root(m.Paths.Data)
	spec, err := root.Spec(other)
	if err != nil {
		return fmt.Errorf("cannot join network of container %s: %w", short(other), gone(err, other))
	}
	m.net.shared, err = networkOf(root, &spec)
	if errors.Is(err, unix.EACCES) {
		return m.errAstray()
	}
	if err != nil {
		return err
	}
	own, err := ownNamespace("net")
	m.net.hosts = err == nil && own.is(int(m.net.shared.Fd()))
	return err
}

// networkOf opens the network namespace of a container's first process, which is known
// by the time of its beginning: the monitor has numbers of its own for processes.
func networkOf(root record.Root, spec *record.Spec) (*os.File, error) {
	state, err := root.Live(spec.ID)
	if err == nil {
		err = sharable(spec, state)
	}
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/proc/%d/ns/net", state.PID)
	fd, err := new(handles).add(unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	switch {
	case err != nil && !errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("open the network of container %s: %w", spec.Name, err)
	case err == nil && record.Born(state.PID) == state.Born:
		return os.NewFile(uintptr(fd), path), nil
	case err == nil:
		unix.Close(fd)
	}
	state.Status = record.Exited
	return nil, sharable(spec, state)
}

// errAstray is what the kernel's refusal to join means: see Astray.
func (m *monitor) errAstray() error {
	other := record.SharesWith(m.Spec.Network)
	name := short(other)
	if spec, err := record.Root(m.Paths.Data).Spec(other); err == nil {
		name = spec.Name
	}
	return &Failure{
		Code:    codeEngine,
		Message: fmt.Sprintf("cannot join network of container %s: it was started anew by another command", name),
		Fix:     "rootlet start " + m.Spec.Name,
	}
}

// joinStep is the name of the step that the kernel refuses to those of another U1.
const joinStep = "enter the other container's network"

// joinNetwork has the first process enter the network that it shares, while it is in
// U1. A sysfs shows the network namespace that it was mounted in, by one who has a
// right over that: U2 has none.
func (f first) joinNetwork(p *firstproc.Program) {
	p.Call(joinStep, unix.SYS_SETNS, []uintptr{uintptr(f.network), unix.CLONE_NEWNET})
	f.mountSys(p)
}

// borrow makes a file of another container's this one's, too: what either of them, or
// the other's next start, writes into it both see, as with Docker.
func (m *monitor) borrow(other, name string) (string, error) {
	theirs := filepath.Join(record.Root(m.Paths.Data).Dir(other), name)
	ours := filepath.Join(m.container.Dir, name)
	if err := os.Remove(ours); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return ours, os.Link(theirs, ours)
}

// borrowFiles is generate for a container that shares another's network.
func (m *monitor) borrowFiles(other string) (map[string]string, error) {
	generated := map[string]string{}
	for _, name := range []string{"hosts", "resolv.conf", "hostname"} {
		path, err := m.borrow(other, name)
		if err != nil {
			return nil, fmt.Errorf("share /etc/%s: %w", name, gone(err, other))
		}
		generated["/etc/"+name] = path
	}
	return generated, m.addHelloFacts(generated)
}
