// Package serve is a registry: the HTTP side of the OCI distribution
// specification 1.1, over a [Storage] that keeps what is pushed.
//
// It answers all four parts of the specification (pull, push, content discovery
// with referrers, content management) and Docker's _catalog. What a client sends
// as a name, tag, digest or upload is read by a strict grammar before it gets
// anywhere near a storage; a body is never kept in memory but for a manifest of
// at most 4 MiB; a client that falls silent is let go.
//
// It knows neither files (sub-package folder) nor the user's images (sub-package
// own), prints nothing, and leaves to its caller where it listens. The command
// line calls it, in the user's own process.
package serve
