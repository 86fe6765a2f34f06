package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rootlet/slirp"
	"rootlet/slirp/publish"
	"rootlet/slirp/sockdiag"
)

// You come here from launch.go: what connects a container is started once its
// namespaces are there, and ready before its program begins. life.go comes back here
// when some of it dies.

// connection is what connects a container: a driver, and what publishes its ports where
// the driver does not. Each is nil where there is none.
type connection struct {
	driver, ports *slirp.Helper
	ahead         *slirp.Ahead  // what either of them will be, until there is a network to serve
	listeners     []*os.File    // of state.Ports, until a helper has them
	members       []*membership // in networks with a name, over all lives of the program

	hosts bool // it is the host's own, by way of another container
}

// publishes says that ports are to be published.
func (m *monitor) publishes() bool { return len(m.Spec.Ports) > 0 || m.Spec.PublishAll }

// bindPorts takes the host's ports before anything else of the container is there: one
// that is taken is found out while nothing has to be undone.
func (m *monitor) bindPorts() error {
	m.state.Ports = nil
	if !m.publishes() || m.CreateOnly {
		return nil
	}
	if !m.reachable() {
		m.notice(fmt.Sprintf("published ports are discarded on the network %s", m.state.Network))
		return nil
	}
	mappings := m.Spec.Ports
	if m.Spec.PublishAll {
		exposed, err := publish.ParseExposed(m.Spec.ExposedPorts)
		if err != nil {
			return err
		}
		mappings = publish.All(mappings, exposed)
	}
	return m.bind(mappings)
}

// reachable says that there is a way into the container.
func (m *monitor) reachable() bool { return slirp.IsDriver(m.state.Network) || m.net.outward() != nil }

func (m *monitor) bind(mappings []publish.Mapping) (err error) {
	m.state.Ports, m.net.listeners, err = publish.Listen(m.ctx, mappings, "/proc")
	if err != nil {
		return fmt.Errorf("publish ports: %w", err)
	}
	return nil
}

// callNetwork has what is ours to start begin while the container is being made.
func (m *monitor) callNetwork() error {
	if !m.CreateOnly {
		m.net.ahead = slirp.StartAhead(m.state.Network, m.networkSettings(), m.publishes() && m.reachable() || m.needsNames(), len(m.Spec.Egress) > 0)
	}
	return nil
}

// needsNames says that the driver is no name server that we would have.
func (m *monitor) needsNames() bool { return slirp.NeedsNames(m.state.Network, len(m.Spec.Egress) > 0) }

// startNetwork starts what connects the container, and does not wait for it.
func (m *monitor) startNetwork() error {
	if err := m.plugIn(); err != nil {
		return err
	}
	return m.startDriver()
}

func (m *monitor) startDriver() error {
	if !slirp.IsDriver(m.state.Network) {
		return nil
	}
	o := m.networkOptions()
	if slirp.PublishesPorts(o.Driver, len(m.Spec.Egress) > 0) {
		o.Ports, o.Ahead = m.ports(), m.called()
	}
	var err error
	if o.Egress, err = m.egress(); err != nil {
		return err
	}
	m.net.driver, err = slirp.Start(m.ctx, o)
	return err
}

// egress is what the driver is to decide by, and where it notes what it has refused.
func (m *monitor) egress() (slirp.Egress, error) {
	if len(m.Spec.Egress) == 0 {
		return slirp.Egress{}, nil
	}
	refused, err := os.OpenFile(filepath.Join(m.container.Dir, RefusedFile), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return slirp.Egress{}, fmt.Errorf("egress: %w", err)
	}
	return slirp.Egress{Allowed: m.Spec.Egress, Refused: refused}, nil
}

// RefusedFile is the file in a container's directory that egress.Read reads: where it
// was kept from connecting to, in this life of its program.
const RefusedFile = "egress"

// awaitNetwork waits until the container is connected. Ports are published only then:
// they lead to an address that the driver has to bring.
func (m *monitor) awaitNetwork() error {
	if err := m.awaitDriver(); err != nil {
		return err
	}
	for _, member := range m.net.members {
		if err := member.place.Ready(m.ctx); err != nil {
			return err
		}
	}
	if len(m.net.listeners) == 0 && !m.needsNames() {
		m.called().Stop() // -P of an image that exposes nothing
		return nil
	}
	return m.startPorts()
}

func (m *monitor) awaitDriver() error {
	if m.net.driver == nil {
		return nil
	}
	err := m.net.driver.Ready()
	if err != nil {
		m.net.driver = nil
	}
	return err
}

func (m *monitor) startPorts() error {
	o := m.networkOptions()
	o.Ports, o.Ahead = m.ports(), m.called()
	if member := m.net.outward(); member != nil && !slirp.IsDriver(m.state.Network) {
		o.Ports.At = slirp.Address{
			Container4: member.Address4.Addr(), Gateway4: member.Gateway4, Container6: member.Address6.Addr(), Gateway6: member.Gateway6,
		}
	}
	var err error
	if m.net.ports, err = slirp.StartBeside(m.ctx, o); err != nil {
		return err
	}
	if err = m.net.ports.Ready(); err != nil {
		m.net.ports = nil
	}
	return err
}

func (m *monitor) networkOptions() slirp.Options {
	return slirp.Options{
		PID: m.hostPID, Driver: m.state.Network, Settings: m.networkSettings(), Dir: m.container.Dir,
	}
}

// ports are handed to a helper, which has them from then on.
func (m *monitor) ports() slirp.Ports {
	p := slirp.Ports{Bound: m.state.Ports, Listeners: m.net.listeners}
	m.net.listeners = nil
	return p
}

// called is what callNetwork has started, once.
func (m *monitor) called() *slirp.Ahead {
	a := m.net.ahead
	m.net.ahead = nil
	return a
}

// ends deliver the death of what connects a container; nil where there is none.
func ends(h *slirp.Helper) <-chan error {
	if h == nil {
		return nil
	}
	return h.Done()
}

// lostNetwork is what becomes of a driver that died: once in a life of the program
// another takes its place, and the container has a network again; connections that
// were open are gone, and hear of it.
func (m *monitor) lostNetwork(cause error) {
	m.net.driver = nil
	m.abortLost()
	m.mend("network", cause, func() error {
		if slirp.PublishesPorts(m.state.Network, len(m.Spec.Egress) > 0) {
			if err := m.listenAgain(); err != nil {
				return err
			}
		}
		return errors.Join(m.startDriver(), m.awaitDriver())
	})
}

// abortLost ends the connections that have lost their other end. Where the kernel cannot,
// they wait for their own time to be over.
func (m *monitor) abortLost() {
	netns, err := m.openNetns()
	if err != nil {
		return // the program has ended meanwhile
	}
	defer netns.Close()
	_ = sockdiag.AbortLost(netns)
}

// lostPorts is the same for published ports, and for the name server beside a driver.
func (m *monitor) lostPorts(cause error) {
	m.net.ports = nil
	what := "forwarding of ports"
	if m.needsNames() {
		what = "name server"
	}
	m.mend(what, cause, func() error { return errors.Join(m.listenAgain(), m.startPorts()) })
}

// mend tries again, once, and says how it went.
func (m *monitor) mend(what string, cause error, again func() error) {
	said := fmt.Sprintf("the %s is gone: %v", what, cause)
	if m.state.NetworkRestarts == 0 {
		m.state.NetworkRestarts++
		if err := again(); err == nil {
			said = fmt.Sprintf("the %s was started again: %v", what, cause)
		} else {
			said += fmt.Sprintf("; and cannot be started again: %v", err)
		}
	}
	m.remark(said)
}

// remark says what has become of the network: to who looks on, in the log, in inspect.
func (m *monitor) remark(said string) {
	m.notice(said)
	m.log.Remark(said)
	m.state.Error = said
	m.writeState(false)
}

// listenAgain takes the very ports that the dead one had.
func (m *monitor) listenAgain() error {
	if len(m.state.Ports) == 0 {
		return nil
	}
	var same []publish.Mapping
	for _, b := range m.state.Ports {
		same = append(same, publish.Mapping{HostIP: b.HostIP, HostFirst: b.HostPort, HostLast: b.HostPort, Container: b.Container, Protocol: b.Protocol})
	}
	return m.bind(same)
}

// disconnect stops all of it and waits for none: a network namespace takes 40 ms to go.
func (m *monitor) disconnect() {
	for _, h := range []*slirp.Helper{m.net.ports, m.net.driver} {
		if h != nil {
			h.Stop()
		}
	}
	m.net.ahead.Stop()
	for _, f := range m.net.listeners {
		_ = f.Close()
	}
	m.shared.close()
	m.unplug()
	m.net = connection{members: m.net.members}
}
