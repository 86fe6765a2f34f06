// Package slirp gives a container its network and the three files by which a
// program finds names: /etc/hosts, /etc/resolv.conf and what stands in them.
//
// The network is slirp4netns, a program of the host: a TCP/IP stack in user space
// behind a tap device in the container's network namespace. It runs beside the
// container's monitor, in U1, with neither the container's user namespace nor its
// mounts, in its own empty root, without capabilities and under its own seccomp
// filter; the container reaches it by network frames alone.
//
//	sandbox/monitor.go --Start--> slirp4netns --joins once--> U2's network namespace
//
// The package makes no namespaces, mounts nothing and prints nothing. Start, Ready
// and Stop are for the monitor; Hosts and ResolvConf are pure and run wherever the
// files are written; the parsers of --add-host, --dns and --dns-search and
// Available (for rootlet info) are for cli.
package slirp
