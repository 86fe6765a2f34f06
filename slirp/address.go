package slirp

import "net/netip"

// The addresses of slirp4netns' default network, 10.0.2.0/24 (slirp4netns(1)).
var (
	// ContainerIP is what slirp4netns --configure gives the container's tap0.
	ContainerIP = netip.AddrFrom4([4]byte{10, 0, 2, 100})
	// GatewayIP is the default route. Behind it is the host's loopback, which is
	// closed; for the host itself see HostIP.
	GatewayIP = netip.AddrFrom4([4]byte{10, 0, 2, 2})
	// NameserverIP relays to the first nameserver of the host's resolv.conf.
	NameserverIP = netip.AddrFrom4([4]byte{10, 0, 2, 3})
)

// Device is the container's interface.
const Device = "tap0"

// MTU is the largest that Linux lets a tap device have, less one: every frame
// costs slirp4netns the same, so the longest are the fastest.
const MTU = 65520
