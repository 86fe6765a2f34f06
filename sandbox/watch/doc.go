// Package watch is what a monitor can know of its container where no kernel counts for
// it: how much of the disk and of memory it takes, how many processes it has, and when to
// look again. It reads and decides, and has no process of its own: package sandbox's
// monitor calls it, in U1, and does what follows from it.
//
// A look costs time and comes late. How late is bounded by how fast anybody can write or
// allocate: the nearer the limit, the sooner the next look.
package watch
