// Package archive turns directory trees into tar streams and back, for cp,
// export and commit.
//
// Neither side trusts the tree: it belongs to a container that may be running,
// and that changes it under our hands. Each name is opened by descriptor,
// relative to its directory, and never followed; what is open is looked at
// before it is read, so that no pipe and no device is ever opened; what is
// created is created exclusively, and dressed by its descriptor.
//
// It knows nothing of containers, layers or paths from the outside: the caller
// has opened the directory at hand. It runs in a worker, in U1, and for the
// user's own files in the command that the user typed.
package archive
