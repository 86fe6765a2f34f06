package cli

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/internal/landlock"
	"rootlet/internal/linux"
	"rootlet/sandbox"
)

// confine has a worker that reads what strangers have written keep what it takes to
// bring an image in, before it reads any of it: it changes the store and the blobs,
// reads the host's settings, and of the user's files only the one that it was given.
//
// Which ports it connects to is left open for a pull: a registry may be on any, as may
// its token server and whom it redirects to, whose addresses pull/registry looks at.
func (t *task) confine() error {
	store := sandbox.StoreConfig(t.Paths, "")
	dirs := []string{store.GraphRoot, store.RunRoot, filepath.Join(t.Paths.Data, blobsName)}
	if store.Lists != "" {
		dirs = append(dirs, store.Lists)
	}
	writable := dirs
	if t.Served != nil {
		// A file of both gets its second name across no border of mounts (link(2)).
		dirs, writable = append(dirs, t.Served.Dir), []string{t.Paths.Data, store.RunRoot}
		if store.Lists != "" {
			writable = append(writable, store.GraphRoot)
		}
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// For what Landlock does not know, as chmod. A kernel that cannot do it has an old
	// Landlock, or none.
	err := linux.ReadOnlyBut(writable...)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return err
	}
	needs := landlock.Needs{Read: hostSettings(), Write: dirs, Connect: t.Pull != nil}
	if t.Load != nil || t.Import != nil || t.Adopt != nil {
		needs.Opened = []int{streamFD}
	}
	if t.Pull != nil {
		needs.Opened = t.Pull.storeFDs()
	}
	return landlock.Restrict(needs)
}

// hostSettings are what a Go program reads to speak to others: the resolver's files,
// certificates, and what /proc says of itself. None of it is a secret of the user's.
func hostSettings() []string {
	read := []string{
		"/etc", "/usr", "/proc", os.DevNull,
		"/nix/store", "/gnu/store", "/var/lib/ca-certificates", // where /etc leads on some
		os.Getenv("SSL_CERT_FILE"),
	}
	read = append(read, landlock.Behind("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")...)
	return append(read, filepath.SplitList(os.Getenv("SSL_CERT_DIR"))...)
}
