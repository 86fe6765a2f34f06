// Package publish makes ports of a container reachable from outside: -p and -P.
//
// It has two halves. The grammar is pure and runs in cli: Parse, ParseExposed and
// All turn options into Mappings, Column and Lines print what became of them.
// The engine runs in the monitor, in U1 and in the host's network namespace:
// Listen binds every host port before the program starts, and Serve forwards
// until the container ends.
//
//	client -- host's socket | monitor | socket in the container's network -- program
//
// Serve is called once the container's addresses are there, and not tentative.
// TCP is an epoll loop (tcp.go, shard.go, pair.go), UDP a socket for each client
// (udp.go, flow.go).
//
// No process stands in the container's namespace. Threads of the monitor join it
// and make sockets there; a socket belongs for good to the namespace that it was
// made in (network_namespaces(7)), whoever uses it.
//
// The program sees the client's true address. The monitor may do that because it
// is root over the namespace that owns the container's network: the socket is
// bound to the client's address (IP_TRANSPARENT, ip(7)) and the answers, which
// are for an address of the outer world, are turned back to it by rules of the
// container's own routing (route.go). A client that cannot be shown as it is, one
// on the host's loopback above all, is shown as the container's gateway: many
// programs trust 127.0.0.1, and it must never be the world (CVE-2021-20199). Where
// the rules cannot be made, all are shown as the container's own address.
//
// The package starts no program, writes no file but sysctls of the container's
// network, and prints nothing.
package publish
