// Package transport reads and writes images that lie in files: OCI layouts,
// Docker's archives and directories as skopeo's dir: makes them, in a directory
// or in a tar archive.
//
// What it reads may come from anybody. Paths inside an archive are names that
// are looked up in its table of members, and are never joined to a path of the
// host; in a directory nothing is opened through a symlink or outside of it
// (openat2(2)). Documents are read up to [registry.MaxDocument] bytes. Digests
// are compared by package pull, which reads from here; sizes and names are
// compared here.
//
// It opens no path itself: the caller does, with his own rights, and hands over
// the file.
package transport
