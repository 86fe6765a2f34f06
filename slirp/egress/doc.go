// Package egress decides where a container may connect to: --egress.
//
// Parse reads what the user allows (cli). A Policy decides by it, in the process that
// serves the network, outside the container's reach: by address and port, and by name, as
// far as the container was told the addresses of that name by the network's own name
// server. It opens nothing and blocks nothing itself: slirp/builtin asks it before it does,
// and slirp/gate makes rules for the kernel of the same (Openings, ResolvedTo). What was
// refused is counted, one Refusal for each destination; Read shows them to inspect and
// logs (cli).
//
// A name opens the public addresses that it has now. One that leads to a private
// address, of whosever making, opens nothing: who wants that says the address.
package egress
