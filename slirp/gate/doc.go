// Package gate keeps a container under slirp4netns or pasta to what --egress allows.
//
// Between the container and the driver stands a network namespace more, the middle, which
// U1 owns and in which nobody of the container has a right. The driver's tap is there,
// and a pair of interfaces leads on to the container, whose end has the name and the
// addresses that the driver's would have:
//
//	container 10.0.2.100 tap0 ==== inner 10.0.2.2, .3 | middle | tap0 169.254.77.100 ---- driver
//
// What passes is decided by the middle's nftables (rules.go): a plan of it is made of the
// rules, which a golden file shows, and sent by github.com/google/nftables. The kernel
// tells of what it drops by NFLOG, and this process counts and answers it (refusals.go). Names are answered by the relay of
// slirp/builtin, which listens in the middle and asks the host's resolvers from outside;
// what a name opens is put into the kernel's sets before the answer leaves (names.go).
//
// Open is called by the stage rootlet-network, in U1 and the host's network namespace,
// before the driver is started in Gate.Netns. No process stands in the middle but what the
// driver has there. Published ports never pass here: their sockets are the container's own.
package gate
