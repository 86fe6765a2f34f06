// Package fuseoverlay keeps images and their layers, and makes root file
// systems of them.
//
// Layers and images are in a store of containers/storage; a layer is unpacked
// once, in the form that an overlay takes, whatever the driver. A container's
// root is put together by one of three drivers, the first that works in the
// store's directory: "native" (the kernel's overlay in a user namespace),
// "fuse-overlayfs" (the program of that name), and "copy" (the layers copied
// into one tree). A container's own changes are in its own directory, which
// belongs to the caller; containers/storage knows nothing of containers here,
// and never mounts anything.
//
// It does not fetch images and does not know registries (pull), and it does not
// prepare a root for a container beyond mounting it (sandbox). All of it runs
// in U1, a user namespace in which the process is uid 0 with every capability,
// and a mount namespace of its own: in the monitor (Image, Mount) and in the
// worker (everything that changes the store).
package fuseoverlay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/sirupsen/logrus"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Config says where the store is and which driver to use.
type Config struct {
	// GraphRoot and RunRoot are containers/storage's directories, absolute: what
	// lasts, and what may be lost with a reboot. They are made 0700.
	GraphRoot, RunRoot string
	// Lists is where the lists of images and layers are, and what images have beside
	// layers, if they are not below GraphRoot. Then that is a scratch, which may lose
	// what lies in it at any time: see scratch.go.
	Lists string
	// Driver forces one; empty means the best that works.
	Driver string
}

// Store is an open store. Any number of goroutines may use it, and any number
// of processes may have it open.
type Store struct {
	config Config
	store  storage.Store
	layers string // the directory that holds a directory per layer

	choiceOnce sync.Once
	choice     Choice
	choiceErr  error
}

// driverName is what containers/storage calls its overlay driver, and its
// directory below the graph root.
const driverName = "overlay"

// Open opens the store, making it where it does not exist.
func Open(c Config) (*Store, error) {
	if !filepath.IsAbs(c.GraphRoot) || !filepath.IsAbs(c.RunRoot) {
		return nil, fmt.Errorf("open store %q (run root %q): paths must be absolute", c.GraphRoot, c.RunRoot)
	}
	if !validDriver(c.Driver) {
		return nil, fmt.Errorf("unknown storage driver %q: it must be %s, %s or %s", c.Driver, Native, FuseOverlayfs, Copy)
	}
	if err := isolate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := c.LinkLists(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := storage.GetStore(storage.StoreOptions{
		GraphRoot:       c.GraphRoot,
		RunRoot:         c.RunRoot,
		GraphDriverName: driverName,
		GraphDriverOptions: []string{
			// Its default loses file contents on power loss.
			"overlay.sync=filesystem",
			// It would bind the store over itself, for mounts that it never makes.
			"overlay.skip_mount_home=true",
			// With a mount program it does not probe the kernel's overlay, which
			// costs time and fails where there is none. It runs the program only to
			// mount, which it is never asked to; it insists that the file exists.
			"overlay.mount_program=/proc/self/exe",
		},
	})
	if err != nil {
		if damaged := (View{GraphRoot: c.GraphRoot}).sound(); damaged != nil {
			return nil, fmt.Errorf("open store: %w", damaged)
		}
		return nil, fmt.Errorf("open store %q: %w", c.GraphRoot, explainStoreError(err))
	}
	return &Store{config: c, store: s, layers: filepath.Join(c.GraphRoot, driverName)}, nil
}

// isolate keeps containers/storage from the settings that the user or the host
// has for podman. It reads them even where every option is given: a mistake in
// one would fail rootlet too, and _CONTAINERS_ROOTLESS_UID, which "podman
// unshare" sets, makes it create directories in /tmp. The environment of this
// process is its own; a container never gets it. Its log, which goes to stderr,
// says nothing that its errors do not.
func isolate() error {
	logrus.SetOutput(io.Discard)
	for _, name := range []string{
		"STORAGE_DRIVER", "STORAGE_OPTS", "CONTAINERS_STORAGE_CONF_OVERRIDE",
		"_CONTAINERS_ROOTLESS_UID", "_CONTAINERS_ROOTLESS_GID", "_CONTAINERS_USERNS_CONFIGURED",
	} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return os.Setenv("CONTAINERS_STORAGE_CONF", os.DevNull)
}

// explainStoreError translates errors of the first open that mislead.
func explainStoreError(err error) error {
	if errors.Is(err, unix.EROFS) {
		return fmt.Errorf("the file system is read-only: %w", err)
	}
	return err
}

// Close ends the use of the store. What containers/storage has on disk is
// complete after every call, and it holds no descriptor or lock in between; its
// own Shutdown would unmount what it has not mounted.
func (s *Store) Close() error { return nil }

// path is a file of rootlet's own below the graph root.
func (s *Store) path(name string) string { return filepath.Join(s.config.GraphRoot, "rootlet-"+name) }

// commitLock is held while layers and images are added or removed.
const commitLock = "commit.lock"

// flock opens and locks a file of that kind, by LOCK_SH or LOCK_EX (flock(2)),
// until the returned function is called or the process ends.
func (s *Store) flock(name string, how int) (func(), error) {
	f, err := s.openLock(name)
	if err != nil {
		return nil, err
	}
	if _, err := flock(f, how); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (s *Store) openLock(name string) (*os.File, error) {
	return os.OpenFile(s.path(name), os.O_RDWR|os.O_CREATE, 0o600)
}

// flock locks an open file. It says whether it could, which with LOCK_NB is no
// error.
func flock(f *os.File, how int) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("lock %q: %w", f.Name(), err)
		default:
			return true, nil
		}
	}
}
