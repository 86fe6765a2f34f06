package builtin

import (
	"net/netip"
	"time"
)

// A Policy decides where the container may connect to. Its methods are called from
// several goroutines at once, and from the one that reads the container's frames:
// they must not wait. A refusal is answered with an ICMP message (communication
// administratively prohibited), so that a connect fails at once.
type Policy interface {
	// Connect is asked for each new TCP connection, UDP flow and ICMP echo, before
	// anything is sent.
	Connect(c Connect) bool
	// Resolve is asked before a name is looked up for the container. The name is in
	// lower case and without its last dot.
	Resolve(name string) bool
	// Resolved tells which addresses the container was given for a name, before it
	// gets them, and for how long they hold.
	Resolved(name string, addrs []netip.Addr, ttl time.Duration)
}

// Connect is what a Policy decides about.
type Connect struct {
	Protocol Protocol
	// To is where the container wants to go; the port of an ICMP echo is 0. The
	// gateway's address stands for the host's loopback.
	To netip.AddrPort
}

// Protocol is one of the three that are forwarded.
type Protocol string

// The protocols, as a user writes them.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	ICMP Protocol = "icmp"
)

// permitAll is the Policy of those who have none.
type permitAll struct{}

func (permitAll) Connect(Connect) bool                         { return true }
func (permitAll) Resolve(string) bool                          { return true }
func (permitAll) Resolved(string, []netip.Addr, time.Duration) {}

// permitNothing is the Policy of those who are nobody's, or any more.
type permitNothing struct{}

func (permitNothing) Connect(Connect) bool                         { return false }
func (permitNothing) Resolve(string) bool                          { return false }
func (permitNothing) Resolved(string, []netip.Addr, time.Duration) {}
