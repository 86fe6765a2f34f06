package slirp

import (
	"fmt"
	"net/netip"
	"os"

	"rootlet/slirp/builtin"
	"rootlet/slirp/gate"
)

// The addresses of IPv6 are the same under every driver: those of builtin.DefaultNet6.
var (
	containerIP6 = netip.AddrFrom16([16]byte{0: 0xfd, 14: 1})
	gatewayIP6   = netip.AddrFrom16([16]byte{0: 0xfd, 15: 2})

	nameserverIP6 = netip.AddrFrom16([16]byte{0: 0xfd, 15: 3})
)

// addIPv6 gives the container of a process its address and route under slirp4netns, which
// would leave that to router advertisements (RFC 4862): the program would run for two
// seconds before.
func addIPv6(pid int) error {
	netns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer netns.Close()
	i := builtin.Interface{Name: Device, Address6: netip.PrefixFrom(containerIP6, builtin.DefaultNet6.Bits()), Gateway6: gatewayIP6}
	if err := builtin.SetAddress(int(netns.Fd()), i); err != nil {
		return &Failure{Step: "give the container IPv6", Err: err}
	}
	return nil
}

// libslirpRouter is libslirp's own address on the link, beside fd00::2.
var libslirpRouter = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 2})

// addLeg6 is the same behind a gate, where fd00::/64 is on the other side: libslirp takes
// any address for a guest's.
func addLeg6(middle *os.File) error {
	i := builtin.Interface{Name: Device, Address6: netip.PrefixFrom(gate.LegAddress(gate.Leg6), gate.Leg6.Bits()), Gateway6: libslirpRouter}
	if err := builtin.SetAddress(int(middle.Fd()), i); err != nil {
		return &Failure{Step: "give the gate IPv6", Err: err}
	}
	return nil
}
