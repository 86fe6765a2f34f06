package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
	"rootlet/slirp/builtin"
)

// You come here from network.go, for networks with a name (slirp/bridge): a place is taken
// in each before it is written down what the container's addresses are, and kept over
// restarts of its program; connect.go plugs the container in once its namespaces are there.

// membership is the container's place in a network.
type membership struct {
	record.Endpoint
	place  *bridge.Membership
	routes bool // the default routes lead there
}

// maxEvents is more than can happen to a container's networks before it looks.
const maxEvents = 64

// Networks is the store of the networks with a name.
func (p Paths) Networks() bridge.Store { return bridge.Store{Data: p.Data, Runtime: p.Runtime} }

// joinNetworks takes a place in every network that the container is to be in and is not.
func (m *monitor) joinNetworks() error {
	for _, a := range m.Spec.Networks {
		if m.memberOf(a.Network) != nil {
			continue
		}
		if err := m.join(a); err != nil {
			return err
		}
	}
	m.routeBy()
	m.noteEndpoints()
	return nil
}

func (m *monitor) join(a record.Attachment) error {
	spec := m.Spec
	if err := record.Root(m.Paths.Data).Refresh(&spec); err != nil {
		return err
	}
	want := bridge.Join{
		ID: m.container.ID, Name: spec.Name, Hostname: m.Spec.Hostname, Aliases: a.Aliases,
		IP4: a.IP4, IP6: a.IP6, Hardware: a.Hardware, Egress: m.Spec.Egress,
	}
	for _, server := range m.Spec.DNS {
		ip, err := slirp.ParseDNS(server)
		if err != nil {
			return err
		}
		const dnsPort = 53
		want.Resolvers = append(want.Resolvers, netip.AddrPortFrom(ip, dnsPort))
	}
	place, err := m.Paths.Networks().Join(a.Network, want, m.events)
	if err != nil {
		return err
	}
	device := m.freeDevice()
	m.net.members = append(m.net.members, &membership{Endpoint: record.Endpoint{Joined: place.Joined, Device: device, Aliases: a.Aliases}, place: place})
	return nil
}

func (m *monitor) memberOf(network string) *membership {
	for _, member := range m.net.members {
		if member.Network == network {
			return member
		}
	}
	return nil
}

// freeDevice is the first interface's name that no network has.
func (m *monitor) freeDevice() string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("eth%d", n)
		if !slices.ContainsFunc(m.net.members, func(o *membership) bool { return o.Device == name }) {
			return name
		}
	}
}

// routeBy chooses the network by which the container reaches all that is in none of
// them, and tells each of the others. It returns the one that was not it before.
func (m *monitor) routeBy() (chosen *membership) {
	all := make([]string, 0, len(m.net.members))
	for _, member := range m.net.members {
		all = append(all, member.Network)
	}
	outside := slirp.IsDriver(m.state.Network)
	for _, member := range m.net.members {
		routes := !outside && !member.Internal
		if routes && !member.routes {
			chosen = member
		}
		member.routes, outside = routes, outside || routes
		member.place.Also(slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == member.Network }))
	}
	return chosen
}

// noteEndpoints has the record say where the container is.
func (m *monitor) noteEndpoints() {
	m.state.Endpoints = nil
	for _, member := range m.net.members {
		m.state.Endpoints = append(m.state.Endpoints, member.Endpoint)
	}
}

// plugIn connects the program's namespace to every network.
func (m *monitor) plugIn() error {
	for _, member := range m.net.members {
		if err := m.plug(member); err != nil {
			return err
		}
	}
	return nil
}

// plug connects it to one. The file of what --egress refuses has one writer: the driver, or
// else the first network.
func (m *monitor) plug(member *membership) error {
	netns, err := m.openNetns()
	if err != nil {
		return err
	}
	defer netns.Close()
	tap, err := builtin.OpenInterface(int(netns.Fd()), member.Interface(member.Device, member.routes))
	var device *builtin.DeviceError
	if errors.As(err, &device) {
		err = &slirp.TunError{Err: device.Err}
	}
	if err != nil {
		return &slirp.Failure{Step: "connect to the network " + member.Network, Err: err}
	}
	var refused *os.File
	if member == m.net.members[0] && !slirp.IsDriver(m.state.Network) {
		e, err := m.egress()
		if err != nil {
			return errors.Join(err, tap.Close())
		}
		refused = e.Refused
	}
	return member.place.Plug(tap, refused)
}

func (m *monitor) openNetns() (*os.File, error) {
	return os.Open(filepath.Join("/proc", fmt.Sprint(m.hostPID), "ns/net"))
}

// connect takes the container into a network, at once while its program runs.
func (m *monitor) connect(a record.Attachment) error {
	isIt := func(o record.Attachment) bool { return o.Network == a.Network }
	switch {
	case slices.ContainsFunc(m.Spec.Networks, isIt):
		return fmt.Errorf("container %s is in the network %s already", m.Spec.Name, a.Network)
	case m.onHost():
		return fmt.Errorf("container %s is on the host's own network: it cannot be in another", m.Spec.Name)
	}
	if m.state.Status.Up() {
		if err := m.join(a); err != nil {
			return err
		}
		m.routeBy()
		member := m.memberOf(a.Network)
		err := m.plug(member)
		if err == nil {
			err = member.place.Ready(m.ctx)
		}
		if err != nil {
			m.forget(member)
			return err
		}
	}
	m.Spec.Networks = append(slices.Clone(m.Spec.Networks), a)
	m.networksChanged()
	return nil
}

// leave takes it out of one.
func (m *monitor) leave(network string) error {
	others := slices.DeleteFunc(slices.Clone(m.Spec.Networks), func(a record.Attachment) bool { return a.Network == network })
	if len(others) == len(m.Spec.Networks) {
		return fmt.Errorf("container %s is not in the network %s", m.Spec.Name, network)
	}
	if member := m.memberOf(network); member != nil {
		m.forget(member)
	}
	m.Spec.Networks = others
	m.networksChanged()
	return nil
}

// forget gives a place up; the interface goes with it.
func (m *monitor) forget(member *membership) {
	_ = member.place.Close()
	m.net.members = slices.DeleteFunc(m.net.members, func(o *membership) bool { return o == member })
}

// networksChanged brings all that hangs on the container's networks up to date. That some
// of it fails is no reason to undo what has been done.
func (m *monitor) networksChanged() {
	if !m.state.Status.Up() {
		return // its next life begins with them
	}
	if member := m.routeBy(); member != nil {
		if err := m.setRoutes(member); err != nil {
			m.notice(fmt.Sprintf("network %s: %v", member.Network, err))
		}
	}
	m.noteEndpoints()
	if _, err := m.generate(); err != nil {
		m.notice(err.Error())
	}
	m.writeState(false)
}

// setRoutes has the default routes lead to a network whose interface is there.
func (m *monitor) setRoutes(member *membership) error {
	netns, err := m.openNetns()
	if err != nil {
		return err
	}
	defer netns.Close()
	return builtin.SetRoutes(int(netns.Fd()), member.Interface(member.Device, true))
}

// heard is what has happened to a network.
func (m *monitor) heard(e bridge.Event) {
	if member := m.memberOf(e.Network); member != nil && e.Gone {
		m.forget(member) // the next life of the program takes a place anew
	}
	if !e.Lost {
		m.state.NetworkRestarts++
	}
	m.remark(e.Text)
}

// unplug disconnects the container from every network and keeps its places.
func (m *monitor) unplug() {
	for _, member := range m.net.members {
		member.place.Unplug()
	}
}

// leaveNetworks gives its places up.
func (m *monitor) leaveNetworks() {
	for _, member := range m.net.members {
		_ = member.place.Close()
	}
	m.net.members = nil
}

// addresses are the container's in its networks.
func (c connection) addresses() (list []netip.Addr) {
	for _, member := range c.members {
		list = append(list, member.Address4.Addr())
		if member.Address6.IsValid() {
			list = append(list, member.Address6.Addr())
		}
	}
	return list
}

// outward is the network by which the container reaches what is outside, and is reached
// at its published ports; nil where there is none.
func (c connection) outward() *membership {
	for _, member := range c.members {
		if !member.Internal {
			return member
		}
	}
	return nil
}
