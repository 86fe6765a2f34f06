package publish

import (
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// rtnetlink is a routing socket in the container's network namespace
// (rtnetlink(7)). Its few messages are made by hand.
type rtnetlink struct {
	mu sync.Mutex
	fd int
}

func (n *rtnetlink) close() { _ = unix.Close(n.fd) }

// Attributes of linux/fib_rules.h that x/sys/unix lacks.
const (
	fraPriority   = 6
	fraFwmark     = 10
	fraTable      = 15
	fraIPProto    = 22 // Linux 4.17
	fraSportRange = 23 // Linux 4.17
	actionTable   = 1  // FR_ACT_TO_TBL
)

// loopback is lo's index in every network namespace (LOOPBACK_IFINDEX).
const loopback = 1

// addRule sends packets that all conditions hold for to a table. One that is
// there already, of an earlier Serve, is as good.
func (n *rtnetlink) addRule(family int, table, priority uint32, conditions ...[]byte) error {
	header := make([]byte, 12) // struct fib_rule_hdr
	header[0], header[7] = byte(family), actionTable
	body := append(header, attribute(fraTable, native.AppendUint32(nil, table))...)
	body = append(body, attribute(fraPriority, native.AppendUint32(nil, priority))...)
	for _, c := range conditions {
		body = append(body, c...)
	}
	err := n.request(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
	if err == unix.EEXIST {
		return nil
	}
	return err
}

// byMark is the condition that a packet has a firewall mark.
func byMark(mark uint32) []byte { return attribute(fraFwmark, native.AppendUint32(nil, mark)) }

// byPort are the conditions that a packet leaves from a port.
func byPort(protocol string, port uint16) []byte {
	number := byte(unix.IPPROTO_UDP)
	if protocol == TCP {
		number = unix.IPPROTO_TCP
	}
	span := native.AppendUint16(native.AppendUint16(nil, port), port)
	return append(attribute(fraIPProto, []byte{number}), attribute(fraSportRange, span)...)
}

// addLocal makes a table deliver what is for a network to this namespace itself.
// Source is what a socket that has no address of its own answers from: it would
// else be the destination.
func (n *rtnetlink) addLocal(table uint32, to netip.Prefix, source netip.Addr) error {
	err := n.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, localRoute(table, to, source))
	if err == unix.EEXIST {
		return nil
	}
	return err
}

func (n *rtnetlink) removeLocal(table uint32, to netip.Prefix) error {
	return n.request(unix.RTM_DELROUTE, 0, localRoute(table, to, netip.Addr{}))
}

func localRoute(table uint32, to netip.Prefix, source netip.Addr) []byte {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1] = byte(familyOf(to.Addr())), byte(to.Bits())
	header[5], header[6], header[7] = unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL
	body := append(header, attribute(unix.RTA_TABLE, native.AppendUint32(nil, table))...)
	body = append(body, attribute(unix.RTA_OIF, native.AppendUint32(nil, loopback))...)
	if to.Bits() > 0 {
		body = append(body, attribute(unix.RTA_DST, to.Addr().AsSlice())...)
	}
	if source.IsValid() {
		body = append(body, attribute(unix.RTA_PREFSRC, source.AsSlice())...)
	}
	return body
}

// attribute is a struct rtattr with its value, padded to four bytes.
func attribute(kind uint16, value []byte) []byte {
	out := native.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	out = append(native.AppendUint16(out, kind), value...)
	for len(out)%unix.NLMSG_ALIGNTO != 0 {
		out = append(out, 0)
	}
	return out
}

// request sends a message and waits for the kernel's word on it, which comes
// before sendto(2) is over.
func (n *rtnetlink) request(kind, flags uint16, body []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	message := native.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = native.AppendUint16(message, kind)
	message = native.AppendUint16(message, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	message = append(message, make([]byte, 8)...) // sequence and sender: one at a time
	message = append(message, body...)
	if err := unix.Sendto(n.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	size, _, err := unix.Recvfrom(n.fd, answer, 0)
	if err != nil {
		return err
	}
	if size < unix.SizeofNlMsghdr+4 || native.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("netlink answered with %d bytes", size)
	}
	if code := int32(native.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
