// Package slirp gives a container its network and the three files by which a
// program finds names: /etc/hosts, /etc/resolv.conf and what stands in them.
//
// The network is a program of the host, slirp4netns or pasta (driver.go): a TCP/IP stack
// in user space behind a tap device in the container's network namespace. It runs
// beside the container's monitor, in U1, with neither the container's user namespace
// nor its mounts, confined by itself; the container reaches it by network frames alone.
//
//	sandbox/monitor.go --Start--> the program --joins once--> U2's network namespace
//
// Under --egress the program is behind slirp/gate (gated.go).
//
// The package makes no namespaces, mounts nothing and prints nothing. Start, Ready
// and Stop are for the monitor; Hosts and ResolvConf are pure and run wherever the
// files are written; the parsers of --network, --add-host, --dns and --dns-search,
// Choose and Available (for rootlet info) are for cli. What each driver must do is
// slirptest.
package slirp
