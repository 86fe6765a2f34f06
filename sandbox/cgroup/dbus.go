package cgroup

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// This is as much of D-Bus as asking systemd for a scope takes (the D-Bus specification,
// "Message Protocol" and "Authentication Protocol"). A library would have its types and
// goroutines loaded by every stage of every container.

// busWait is how long the bus, and systemd behind it, may take in all.
const busWait = 2 * time.Second

// maxMessage bounds what the bus can have us keep, in bytes.
const maxMessage = 1 << 20

// bus is a connection to the user's bus.
type bus struct {
	conn   net.Conn
	reader *bufio.Reader
	serial uint32
}

// errOtherNamespace says that process numbers mean different things at both ends.
var errOtherNamespace = errors.New("who serves it is in another pid namespace")

// dialBus connects at an address such as unix:path=/run/user/1000/bus, or the first of
// several that there is.
func dialBus(addresses string, uid int, wait time.Duration) (*bus, error) {
	var errs []error
	for address := range strings.SplitSeq(addresses, ";") {
		path, err := socketOf(address)
		if err == nil {
			var b *bus
			if b, err = dialSocket(path, uid, wait); err == nil {
				return b, nil
			}
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// socketOf is the socket of an address, with @ in front of an abstract one.
func socketOf(address string) (string, error) {
	rest, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return "", fmt.Errorf("bus address %q: only unix: is known", address)
	}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "path":
			return value, nil
		case "abstract":
			return "@" + value, nil
		}
	}
	return "", fmt.Errorf("bus address %q: it names no socket", address)
}

func dialSocket(path string, uid int, wait time.Duration) (*bus, error) {
	deadline := time.Now().Add(wait)
	conn, err := net.DialTimeout("unix", path, wait)
	if err != nil {
		return nil, err
	}
	b := &bus{conn: conn, reader: bufio.NewReader(conn)}
	if err := errors.Join(conn.SetDeadline(deadline), seesUs(conn.(*net.UnixConn))); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := b.begin(uid); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), conn.Close())
	}
	return b, nil
}

// seesUs checks that the other end numbers processes as we do: the kernel tells its
// number as ours, 0 where it has none here.
func seesUs(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	control := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(control, err); err != nil {
		return err
	}
	if peer.Pid == 0 {
		return errOtherNamespace
	}
	return nil
}

// begin says who we are, which the kernel confirms to the bus, and says hello.
func (b *bus) begin(uid int) error {
	hello := "\x00AUTH EXTERNAL " + hex.EncodeToString([]byte(strconv.Itoa(uid))) + "\r\n"
	if _, err := io.WriteString(b.conn, hello); err != nil {
		return err
	}
	line, err := b.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("the bus refuses us: %q", strings.TrimSpace(string(line)))
	}
	if _, err := io.WriteString(b.conn, "BEGIN\r\n"); err != nil {
		return err
	}
	return b.call(call{path: "/org/freedesktop/DBus", dest: "org.freedesktop.DBus", iface: "org.freedesktop.DBus", member: "Hello"})
}

func (b *bus) close() { _ = b.conn.Close() }

// call is a method that is called.
type call struct {
	path, dest, iface, member string
	signature                 string // of the body
	body                      []byte
}

// call calls a method and waits until it has been answered. What the answer brings is of
// no interest but for an error.
func (b *bus) call(c call) error {
	b.serial++
	if _, err := b.conn.Write(c.message(b.serial)); err != nil {
		return err
	}
	for {
		m, err := readMessage(b.reader)
		if err != nil {
			return err
		}
		if m.replyTo != b.serial {
			continue // a signal
		}
		if m.kind == kindError {
			return fmt.Errorf("%s: %s: %s", c.member, m.errorName, m.text)
		}
		return nil
	}
}

// Kinds of messages.
const (
	kindCall  = 1
	kindError = 3
)

// Header fields, by the specification's numbers.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// message is a call as it goes over the wire.
func (c call) message(serial uint32) []byte {
	var fields encoder
	for _, f := range []struct {
		code        byte
		kind, value string
	}{
		{fieldPath, "o", c.path},
		{fieldInterface, "s", c.iface},
		{fieldMember, "s", c.member},
		{fieldDestination, "s", c.dest},
		{fieldSignature, "g", c.signature},
	} {
		if f.value == "" {
			continue
		}
		fields.align(8)
		fields.bytes = append(fields.bytes, f.code)
		fields.signature(f.kind)
		if f.kind == "g" {
			fields.signature(f.value)
		} else {
			fields.string(f.value)
		}
	}
	var e encoder
	e.bytes = append(e.bytes, 'l', kindCall, 0, 1) // little-endian, no flags, protocol 1
	e.uint32(uint32(len(c.body)))
	e.uint32(serial)
	e.uint32(uint32(len(fields.bytes)))
	e.bytes = append(e.bytes, fields.bytes...)
	e.align(8)
	return append(e.bytes, c.body...)
}

// encoder writes values as the specification's "Marshaling" has them.
type encoder struct{ bytes []byte }

func (e *encoder) align(n int) {
	for len(e.bytes)%n != 0 {
		e.bytes = append(e.bytes, 0)
	}
}

func (e *encoder) uint32(n uint32) {
	e.align(4)
	e.bytes = binary.LittleEndian.AppendUint32(e.bytes, n)
}

func (e *encoder) string(s string) {
	e.uint32(uint32(len(s)))
	e.bytes = append(append(e.bytes, s...), 0)
}

func (e *encoder) signature(s string) {
	e.bytes = append(append(append(e.bytes, byte(len(s))), s...), 0)
}

// array writes an array whose elements begin at multiples of aligned.
func (e *encoder) array(aligned int, elements func()) {
	e.uint32(0)
	length := len(e.bytes) - 4
	e.align(aligned)
	begin := len(e.bytes)
	elements()
	binary.LittleEndian.PutUint32(e.bytes[length:], uint32(len(e.bytes)-begin))
}

// property writes one (sv): a name, and a value of a type.
func (e *encoder) property(name, kind string, value func()) {
	e.align(8)
	e.string(name)
	e.signature(kind)
	value()
}

// message is what we want to know of one that has come.
type message struct {
	kind      byte
	replyTo   uint32
	errorName string
	text      string // of an error
}

var errMessage = errors.New("the bus has sent what is no message")

// readMessage reads one.
func readMessage(from io.Reader) (message, error) {
	var fixed [16]byte
	if _, err := io.ReadFull(from, fixed[:]); err != nil {
		return message{}, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if fixed[0] == 'B' {
		order = binary.BigEndian
	} else if fixed[0] != 'l' {
		return message{}, errMessage
	}
	body, fields := order.Uint32(fixed[4:]), order.Uint32(fixed[12:])
	if body > maxMessage || fields > maxMessage {
		return message{}, errMessage
	}
	padded := (int(fields) + 7) &^ 7
	rest := make([]byte, padded+int(body))
	if _, err := io.ReadFull(from, rest); err != nil {
		return message{}, err
	}
	m := message{kind: fixed[1]}
	if err := m.readFields(&decoder{rest[:fields], 0, order}); err != nil {
		return m, err
	}
	if d := (&decoder{rest[padded:], 0, order}); m.kind == kindError {
		m.text, _ = d.string() // it need not have one
	}
	return m, nil
}

// readFields reads the fields of a header: a(yv), with values of three types.
func (m *message) readFields(d *decoder) error {
	for d.at < len(d.bytes) {
		d.align(8)
		code, ok := d.byte()
		kind, ok2 := d.signature()
		if !ok || !ok2 {
			return errMessage
		}
		switch kind {
		case "s", "o":
			value, ok := d.string()
			if !ok {
				return errMessage
			}
			if code == fieldErrorName {
				m.errorName = value
			}
		case "g":
			if _, ok := d.signature(); !ok {
				return errMessage
			}
		case "u":
			value, ok := d.uint32()
			if !ok {
				return errMessage
			}
			if code == fieldReplySerial {
				m.replyTo = value
			}
		default:
			return errMessage
		}
	}
	return nil
}

// decoder reads values; each says whether there was one.
type decoder struct {
	bytes []byte
	at    int
	order binary.ByteOrder
}

func (d *decoder) align(n int) { d.at = (d.at + n - 1) &^ (n - 1) }

func (d *decoder) take(n int) ([]byte, bool) {
	if n > len(d.bytes)-d.at {
		return nil, false
	}
	taken := d.bytes[d.at : d.at+n]
	d.at += n
	return taken, true
}

func (d *decoder) byte() (byte, bool) {
	b, ok := d.take(1)
	if !ok {
		return 0, false
	}
	return b[0], true
}

func (d *decoder) uint32() (uint32, bool) {
	d.align(4)
	b, ok := d.take(4)
	if !ok {
		return 0, false
	}
	return d.order.Uint32(b), true
}

func (d *decoder) string() (string, bool) {
	n, ok := d.uint32()
	if !ok || n > math.MaxInt32-1 {
		return "", false
	}
	return d.text(int(n))
}

func (d *decoder) signature() (string, bool) {
	n, ok := d.byte()
	if !ok {
		return "", false
	}
	return d.text(int(n))
}

// text reads so many bytes, and the zero behind them.
func (d *decoder) text(n int) (string, bool) {
	b, ok := d.take(n + 1)
	if !ok {
		return "", false
	}
	return string(b[:n]), true
}
