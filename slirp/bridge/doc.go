// Package bridge makes networks with names, which containers share: on one network
// they reach each other by address and by name, and on another they do not.
//
// A network is a record below networks/ in rootlet's data directory (store.go), and,
// while a container is in it, two processes of the user's, outside of every namespace:
//
//	rootlet-bridge  holds the members: who is in, under which addresses and names, and
//	                the ends of their taps (holder.go)
//	rootlet-switch  moves their frames (switch.go): slirp/builtin's Switch, with the
//	                stack behind its gateway that leads outside
//
// The holder reads no frame; if the switch dies, of a bug that a container found, the
// holder starts another with the same taps, and connections between members do not even
// break. It begins with the first who wants the network and ends with the last.
//
//	client  --Hold--> the holder is there, and stays while he does
//	monitor --Join--> is told its addresses; --Plug--> hands its tap over
//
// No bridge and no veth of the kernel's is made: a veth needs rights over both of the
// namespaces that it joins, and containers have none over each other's, nor has anybody
// who could be asked.
package bridge
