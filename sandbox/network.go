package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"rootlet/slirp"
)

// The networks of --network.
const (
	NetworkSlirp = "slirp4netns"
	NetworkNone  = "none"
	NetworkHost  = "host"
)

// startNetwork starts what connects the container, and does not wait for it.
func (m *monitor) startNetwork() error {
	if m.Spec.Network != NetworkSlirp {
		return nil
	}
	helper, err := slirp.Start(m.ctx, slirp.Options{PID: m.hostPID})
	if err == nil {
		m.helper = helper
	}
	return m.withoutNetwork(err)
}

// awaitNetwork waits until the container is connected.
func (m *monitor) awaitNetwork() error {
	if m.helper == nil {
		return nil
	}
	err := m.helper.Ready()
	if err == nil {
		return nil
	}
	m.helper = nil
	return m.withoutNetwork(err)
}

// withoutNetwork lets a container run on its loopback alone where this host has
// nothing to connect it with, and says so. Any other failure is one.
func (m *monitor) withoutNetwork(err error) error {
	var tun *slirp.TunError
	if !errors.Is(err, slirp.ErrNotInstalled) && !errors.As(err, &tun) {
		return err
	}
	f := failureOf(err)
	m.notice(fmt.Sprintf("no network, the container has loopback only: %s", f.Message))
	if f.Fix != "" {
		m.notice("to change that: " + f.Fix)
	}
	return nil
}

// generate writes the files that the runtime puts into /etc and returns them by
// their path in the container.
func (m *monitor) generate() (map[string]string, error) {
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

// giveToRoot makes a file the container root's, whom keep-id makes another than
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
	switch m.Spec.Network {
	case NetworkHost:
		base, err := os.ReadFile("/etc/hosts")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		c.Base = base
		c.Gateway = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case NetworkSlirp:
		// The gateway's own address leads to the host's loopback alone, which is
		// closed; the host is reached by one that it has outside.
		c.IPs, c.Gateway = []netip.Addr{slirp.ContainerIP}, slirp.HostIP()
	}
	return slirp.Hosts(c)
}

func (m *monitor) resolvConf() ([]byte, error) {
	c := slirp.ResolvConfig{Isolated: m.Spec.Network == NetworkNone, Search: m.Spec.DNSSearch}
	for _, server := range m.Spec.DNS {
		address, err := slirp.ParseDNS(server)
		if err != nil {
			return nil, err
		}
		c.DNS = append(c.DNS, address)
	}
	var err error
	if !c.Isolated {
		if c.Host, c.Nameserver, err = slirp.HostResolvConf(); err != nil {
			return nil, err
		}
	}
	if m.Spec.Network == NetworkHost {
		c.Nameserver = netip.Addr{}
	}
	return slirp.ResolvConf(c)
}
