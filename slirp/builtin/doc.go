// Package builtin is a container's network without any program of the host: a
// TCP/IP stack in user space (gvisor's) behind a tap device in the container's
// network namespace.
//
// Who wants a network for a container calls OpenTap once, with a descriptor of its
// network namespace, and then Serve, in a process that lives as long as the
// container: a stage of rootlet's own beside the monitor, in U1 and in the host's
// network namespace, with neither the container's user namespace nor its mounts.
//
//	stage --OpenTap--> thread in U2's network namespace: makes tap0, ends
//	      --Serve----> frames of tap0 <-> sockets of the host
//
// Several containers that share a network have each a tap made by OpenInterface, and
// a Switch in place of Serve: an Ethernet switch between their taps, with the same
// stack behind its gateway.
//
// TCP connections, UDP datagrams and ICMP echoes, IPv4 and IPv6, leave through
// ordinary sockets of the host; the nameserver's address answers with the names of
// the host's /etc/hosts and with what the host's resolvers say. A connection of
// the container is made on the host first, so that connect(2) succeeds and fails
// there as it did here. The host's loopback is out of reach unless asked for, and a
// Policy is asked about everything else.
//
// What is not here: connections to the container (published ports take another
// way), multicast and broadcast, ICMP errors other than unreachable (traceroute
// shows nothing), fragments of other protocols. A port of the container that sends
// to several peers has a port of the host for each of them, unlike under
// slirp4netns, so that only who was asked can answer.
//
// The frames come from whoever is in the container and may hold anything. Buffers,
// connections, flows and questions are bounded; our own goroutines turn a panic
// into the error that Serve returns.
package builtin
