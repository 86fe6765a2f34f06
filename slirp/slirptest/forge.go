package slirptest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/slirp"
)

// forge is what root in the container can send: any frame. It returns "sent".
func forge(from, to string) string {
	gateway, err := gatewayHardware()
	if err != nil {
		return err.Error()
	}
	dev, err := net.InterfaceByName(slirp.Device)
	if err != nil {
		return err.Error()
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	target := &unix.SockaddrLinklayer{Protocol: binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_IP)), Ifindex: dev.Index, Halen: 6}
	copy(target.Addr[:], gateway)
	if err := unix.Sendto(fd, datagram(netip.MustParseAddrPort(from), netip.MustParseAddrPort(to), question("forged.example")), 0, target); err != nil {
		return err.Error()
	}
	return "sent"
}

// gatewayHardware is what ARP has found, for an address that was spoken to.
func gatewayHardware() (net.HardwareAddr, error) {
	table, err := os.ReadFile("/proc/self/net/arp")
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == (slirp.Settings{}).GatewayIP().String() {
			return net.ParseMAC(f[3])
		}
	}
	return nil, fmt.Errorf("no gateway in the ARP table: %v", err)
}

// datagram is one of UDP over IPv4 (RFC 791, RFC 768), without the checksum that may be
// left out.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(append(udp, 0, 0), payload...)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
	ip = append(append(ip, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	return append(ip, udp...)
}
