package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
	"rootlet/sandbox/record"
	"rootlet/slirp"
)

// chooseNetwork finds out what the network that was asked for is on this host. Where
// auto finds nothing, the container runs on its loopback alone, and that is said;
// what was asked for by name, and cannot be had, is an error.
func (m *monitor) chooseNetwork() error {
	m.state.Network, m.state.NetworkRestarts = m.Spec.Network, 0
	if err := m.chooseDriver(); err != nil || m.CreateOnly {
		return err
	}
	return m.joinNetworks()
}

func (m *monitor) chooseDriver() error {
	if m.refused&unix.CLONE_NEWNET != 0 && m.takesAnyNetwork() {
		m.state.Network = slirp.Host
		return nil
	}
	if m.Spec.Network != slirp.Auto {
		return nil
	}
	driver, err := m.automatic()
	if err != nil && m.publishes() {
		return fmt.Errorf("publish ports: %w", err)
	}
	if err != nil && len(m.Spec.Egress) > 0 {
		m.notice("no network at all, whatever --egress allows")
	}
	if err != nil {
		m.withoutNetwork(err)
		return nil
	}
	m.state.Network = driver
	return nil
}

// takesAnyNetwork reports whether the user has left open what the network is.
func (m *monitor) takesAnyNetwork() bool {
	return m.Spec.Network == slirp.Auto && len(m.Spec.Networks) == 0
}

// automatic is what auto is. Where a container may connect to, builtin decides on every
// kernel.
func (m *monitor) automatic() (string, error) {
	driver, err := slirp.Choose()
	if err == nil && len(m.Spec.Egress) > 0 {
		driver = slirp.Builtin
	}
	return driver, err
}

func (m *monitor) networkSettings() slirp.Settings { return slirp.Settings(m.Spec.NetworkSettings) }

// withoutNetwork says that there is none.
func (m *monitor) withoutNetwork(err error) {
	m.state.Network = slirp.None
	f := failureOf(err)
	m.notice(fmt.Sprintf("no network, the container has loopback only: %s", f.Message))
	if f.Fix != "" {
		m.notice("to change that: " + f.Fix)
	}
	if f.Lacks != "" {
		m.notice(need.See(f.Lacks))
	}
}

// generate writes the files that the runtime puts into /etc and returns them by
// their path in the container.
func (m *monitor) generate() (map[string]string, error) {
	if other := record.SharesWith(m.Spec.Network); other != "" {
		return m.borrowFiles(other)
	}
	hosts, err := m.hosts()
	if err != nil {
		return nil, err
	}
	resolv, err := m.resolvConf()
	if err != nil {
		return nil, err
	}
	contents := map[string][]byte{
		"hosts":       hosts,
		"resolv.conf": resolv,
		"hostname":    []byte(m.Spec.Hostname + "\n"),
	}
	generated := map[string]string{}
	for name, content := range contents {
		path := filepath.Join(m.container.Dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return nil, err
		}
		if err := m.giveToRoot(path); err != nil {
			return nil, err
		}
		generated["/etc/"+name] = path
	}
	return generated, m.addHelloFacts(generated)
}

// giveToRoot makes a file the container root's, whom --userns makes another than
// us. Its mode does not hang on the umask that the user had.
func (m *monitor) giveToRoot(path string) error {
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	uid, okUID := m.uids.toU1(0)
	gid, okGID := m.gids.toU1(0)
	if !okUID || !okGID || (uid == 0 && gid == 0) {
		return nil
	}
	return os.Lchown(path, uid, gid)
}

func (m *monitor) hosts() ([]byte, error) {
	c := slirp.HostsConfig{Hostname: m.Spec.Hostname}
	for _, extra := range m.Spec.ExtraHosts {
		entry, err := slirp.ParseAddHost(extra)
		if err != nil {
			return nil, err
		}
		c.Extra = append(c.Extra, entry)
	}
	settings := m.networkSettings()
	switch {
	case m.state.Network == slirp.Host:
		base, err := os.ReadFile("/etc/hosts")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		c.Base = base
		c.Gateway = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case slirp.IsDriver(m.state.Network):
		// The gateway's own address leads to the host's loopback alone, which is
		// closed; the host is reached by one that it has outside.
		c.IPs, c.Gateway = []netip.Addr{settings.ContainerIP()}, slirp.HostIP()
		if settings.HostLoopback {
			c.Gateway = settings.GatewayIP()
		}
	case len(m.net.members) > 0:
		c.Gateway = slirp.HostIP()
	}
	c.IPs = append(c.IPs, m.net.addresses()...)
	return slirp.Hosts(c)
}

// relay is the driver whose name server the container has. Under --egress that is ours.
func (m *monitor) relay() string {
	if len(m.Spec.Egress) > 0 {
		return slirp.Builtin
	}
	return m.state.Network
}

func (m *monitor) resolvConf() ([]byte, error) {
	c := slirp.ResolvConfig{Isolated: m.state.Network == slirp.None, Search: m.Spec.DNSSearch}
	for _, server := range m.Spec.DNS {
		address, err := slirp.ParseDNS(server)
		if err != nil {
			return nil, err
		}
		c.DNS = append(c.DNS, address)
	}
	if !c.Isolated {
		var err error
		if c.Host, c.Nameserver, err = slirp.HostResolvConf(m.relay(), m.networkSettings()); err != nil {
			return nil, err
		}
	}
	if m.state.Network == slirp.Host {
		c.Nameserver = netip.Addr{}
	}
	m.nameByNetworks(&c)
	return slirp.ResolvConf(c)
}

// nameByNetworks has the names of a container's networks found. A network that leads
// outside asks the name servers of --dns in turn; an internal one refuses what is outside,
// and the C library asks the next then.
func (m *monitor) nameByNetworks(c *slirp.ResolvConfig) {
	if outward := m.net.outward(); outward != nil {
		c.DNS = []netip.Addr{outward.Gateway4}
		return
	}
	if len(m.net.members) == 0 {
		return
	}
	if len(c.DNS) == 0 && slirp.IsDriver(m.state.Network) && c.Nameserver.IsValid() {
		c.DNS = []netip.Addr{c.Nameserver}
	}
	c.DNS = append([]netip.Addr{m.net.members[0].Gateway4}, c.DNS...)
}
