// Package sockdiag ends TCP connections of a network namespace from outside, for the
// monitor of a container whose network driver has died (sandbox/connect.go).
//
// The driver was the other end of what the container had open, and has gone without a
// word. Who writes would find out in time; who only reads, as a download does, would wait
// for ever. The kernel can be told to break such a socket (sock_diag(7), SOCK_DESTROY of
// Linux 4.5), so that the program has its error at once.
package sockdiag
