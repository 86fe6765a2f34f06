package slirp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// HostIP is the host's address as a container reaches it, and so what HostGateway
// should mean there: the one from which the host itself would talk to the world. The
// gateway's would lead to the host's loopback, which is closed. It is the zero Addr on
// a host without an IPv4 route. No packet is sent.
func HostIP() netip.Addr {
	return outgoing("udp4", "192.0.2.1:9") // which is nobody (RFC 5737)
}

// HostIP6 is the same for IPv6.
func HostIP6() netip.Addr {
	return outgoing("udp6", "[2001:db8::1]:9") // RFC 3849
}

// outgoing asks the kernel for the route, which connecting a datagram socket does.
func outgoing(network, nobody string) netip.Addr {
	conn, err := net.Dial(network, nobody)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok || local.IP.IsLoopback() {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap()
}

// maxHostFile bounds what is read of a file of the host, in bytes.
const maxHostFile = 1 << 20

// HostResolvConf reads the host's resolv.conf and says which nameserver a container
// under a driver shall ask. That is the network's, or the zero Addr where slirp4netns'
// relay cannot work: its sandbox holds /etc and /run alone (slirp4netns(1)), and
// where resolv.conf is a link to elsewhere (WSL has it in /mnt) the relay never
// learns whom to ask; the container must then ask the host's nameservers itself. A
// host without the file has an empty one.
func HostResolvConf(driver string, s Settings) (content []byte, nameserver netip.Addr, err error) {
	const name = "/etc/resolv.conf"
	content, err = readHostFile(name)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	if driver == Slirp4netns && !inSandbox(name) {
		return content, netip.Addr{}, nil
	}
	return content, s.NameserverIP(), nil
}

// readHostFile reads a file that may be missing.
func readHostFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxHostFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}

// inSandbox says whether slirp4netns' own root shows a file.
func inSandbox(name string) bool {
	real, err := filepath.EvalSymlinks(name)
	return err == nil && (strings.HasPrefix(real, "/etc/") || strings.HasPrefix(real, "/run/"))
}
