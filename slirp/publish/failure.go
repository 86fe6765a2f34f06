package publish

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const portStart = "net.ipv4.ip_unprivileged_port_start"

// BindError says why a port of the host cannot be had. It unwraps to the errno.
// As JSON it comes whole from the monitor to the command outside.
type BindError struct {
	Protocol string         `json:"protocol"`
	Address  netip.AddrPort `json:"address"` // port 0: any was asked for
	Call     string         `json:"call"`    // the system call
	Errno    unix.Errno     `json:"errno"`

	// The ends of the range that was asked for, of which all is taken.
	First uint16 `json:"first,omitempty"`
	Last  uint16 `json:"last,omitempty"`
	// Holder is who has a taken port; the zero Holder where it cannot be seen.
	Holder Holder `json:"holder"`
	// PortStart is the first port that needs no privilege, where one was asked
	// for that does; else 0.
	PortStart int `json:"portStart,omitempty"`
}

func newBindError(protocol string, at netip.AddrPort, err error) *BindError {
	e := &BindError{Protocol: protocol, Address: at}
	var call *os.SyscallError
	if errors.As(err, &call) {
		e.Call = call.Syscall
	}
	errors.As(err, &e.Errno)
	return e
}

// Error names the address and the cause.
func (e *BindError) Error() string {
	switch {
	case e.Errno == unix.EADDRINUSE && e.Address.Port() == 0:
		return fmt.Sprintf("no %s port of %s is free", e.Protocol, e.Address.Addr())
	case e.Errno == unix.EADDRINUSE && e.First != e.Last:
		return fmt.Sprintf("ports %d-%d/%s of %s are all taken", e.First, e.Last, e.Protocol, e.Address.Addr())
	case e.Errno == unix.EADDRINUSE && e.Holder.PID == 0:
		return fmt.Sprintf("port %s/%s is taken", e.Address, e.Protocol)
	case e.Errno == unix.EADDRINUSE:
		return fmt.Sprintf("port %s/%s is taken by %s (pid %d)", e.Address, e.Protocol, e.Holder.Program, e.Holder.PID)
	case e.PortStart != 0:
		return fmt.Sprintf("port %s/%s needs a privilege: %s is %d: %s: %v", e.Address, e.Protocol, portStart, e.PortStart, e.Call, e.Errno)
	case e.Errno == unix.EADDRNOTAVAIL:
		return fmt.Sprintf("port %s/%s: this host does not have the address %s", e.Address, e.Protocol, e.Address.Addr())
	case e.Errno == unix.EAFNOSUPPORT:
		return fmt.Sprintf("port %s/%s: this host has no IPv6", e.Address, e.Protocol)
	}
	return fmt.Sprintf("port %s/%s: %s: %v", e.Address, e.Protocol, e.Call, e.Errno)
}

// Unwrap gives the cause.
func (e *BindError) Unwrap() error { return e.Errno }

// Hint is what someone can do about it, or empty.
func (e *BindError) Hint() string {
	if e.PortStart == 0 {
		return ""
	}
	return fmt.Sprintf("publish port %d or above, or as root: sysctl -w %s=%d", e.PortStart, portStart, e.Address.Port())
}

// FindHolder looks again for who has the port. A process in U1 cannot see into
// the user's processes outside (the capabilities of its user namespace do not
// reach there, ptrace(2)), so that Listen in the monitor seldom finds it: the
// command outside, to whom the error is passed on, does.
func (e *BindError) FindHolder(proc string) {
	if e.Errno == unix.EADDRINUSE && e.First == e.Last && e.Address.Port() != 0 {
		e.Holder = findHolder(proc, e.Protocol, e.Address)
	}
}

// explain completes the error of the last attempt.
func explain(err error, m Mapping, proc string) error {
	var failure *BindError
	if !errors.As(err, &failure) {
		return err
	}
	failure.First, failure.Last = m.HostFirst, m.HostLast
	if m.HostFirst == 0 {
		failure.Address = netip.AddrPortFrom(failure.Address.Addr(), 0)
	}
	if errors.Is(err, unix.EACCES) {
		text, _ := os.ReadFile(filepath.Join(proc, "sys/net/ipv4/ip_unprivileged_port_start"))
		start, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if int(failure.Address.Port()) < start {
			failure.PortStart = start
		}
	}
	failure.FindHolder(proc)
	return failure
}
