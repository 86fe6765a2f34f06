package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ends are the two addresses of a connection. An IPv6 socket that speaks IPv4 has IPv4
// addresses here.
type ends struct{ local, remote netip.AddrPort }

// connection is a TCP socket as the kernel lists it.
type connection struct {
	ends
	family byte
	id     [sizeofID]byte // struct inet_diag_sockid, as the kernel wants it back
}

// Of linux/sock_diag.h and linux/inet_diag.h, which x/sys/unix has in part.
const (
	sockDestroy  = 21
	sizeofID     = 48
	sizeofReq    = 8 + sizeofID      // struct inet_diag_req_v2
	sizeofMsg    = 4 + sizeofID + 20 // struct inet_diag_msg
	established  = 1                 // states of net/tcp_states.h
	finWait1     = 4
	finWait2     = 5
	closeWait    = 8
	lastAck      = 9
	closing      = 11
	whereData    = 1<<established | 1<<finWait1 | 1<<finWait2 | 1<<closeWait | 1<<lastAck | 1<<closing
	answerBuffer = 64 << 10
)

var errShort = errors.New("sock_diag: a message is too short")

// request is a netlink message about sockets of one family.
func request(kind, flags uint16, family byte, states uint32, id [sizeofID]byte) []byte {
	native := binary.NativeEndian
	m := native.AppendUint32(nil, unix.SizeofNlMsghdr+sizeofReq)
	m = native.AppendUint16(m, kind)
	m = native.AppendUint16(m, unix.NLM_F_REQUEST|flags)
	m = append(m, make([]byte, 8)...) // sequence and sender: one at a time
	m = append(m, family, unix.IPPROTO_TCP, 0, 0)
	m = native.AppendUint32(m, states)
	return append(m, id[:]...)
}

// dump lists the connections of a family over which data may go.
func dump(fd int, family byte) ([]connection, error) {
	if err := send(fd, request(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP, family, whereData, [sizeofID]byte{})); err != nil {
		return nil, err
	}
	var list []connection
	buffer := make([]byte, answerBuffer)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, last, err := parse(buffer[:n])
		list = append(list, found...)
		if last || err != nil {
			return list, err
		}
	}
}

// parse reads the messages of one answer, and reports whether it was the last.
func parse(data []byte) (list []connection, last bool, err error) {
	native := binary.NativeEndian
	for len(data) > 0 {
		if len(data) < unix.SizeofNlMsghdr {
			return list, true, errShort
		}
		size := int(native.Uint32(data))
		if size < unix.SizeofNlMsghdr || size > len(data) {
			return list, true, errShort
		}
		body := data[unix.SizeofNlMsghdr:size]
		switch native.Uint16(data[4:]) {
		case unix.NLMSG_DONE:
			return list, true, nil
		case unix.NLMSG_ERROR:
			return list, true, errorOf(body)
		case unix.SOCK_DIAG_BY_FAMILY:
			c, err := connectionOf(body)
			if err != nil {
				return list, true, err
			}
			list = append(list, c)
		}
		data = data[min(len(data), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return list, false, nil
}

// connectionOf reads a struct inet_diag_msg.
func connectionOf(body []byte) (c connection, err error) {
	if len(body) < sizeofMsg {
		return c, errShort
	}
	c.family = body[0]
	copy(c.id[:], body[4:])
	address := func(at int) netip.Addr {
		if c.family == unix.AF_INET {
			return netip.AddrFrom4([4]byte(c.id[at:]))
		}
		return netip.AddrFrom16([16]byte(c.id[at:])).Unmap()
	}
	port := func(at int) uint16 { return binary.BigEndian.Uint16(c.id[at:]) }
	c.local, c.remote = netip.AddrPortFrom(address(4), port(0)), netip.AddrPortFrom(address(20), port(2))
	return c, nil
}

// destroy has the kernel break the connection: both its reader and its writer get
// ECONNABORTED.
func (c connection) destroy(fd int) error {
	if err := send(fd, request(sockDestroy, unix.NLM_F_ACK, c.family, 0, c.id)); err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buffer, 0)
	if err != nil {
		return err
	}
	_, _, err = parse(buffer[:n])
	return err
}

// errorOf reads a struct nlmsgerr, zero in which is the kernel's yes.
func errorOf(body []byte) error {
	if len(body) < 4 {
		return errShort
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

func send(fd int, message []byte) error {
	return unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}
