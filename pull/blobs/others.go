package blobs

import (
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// others are directories of other users, with blobs as they came, each named by its
// digits. They are read, and compared like one's own, but never written to; their
// owners may change them at any time.
type others struct {
	dirs []*os.File
	bad  sync.Map // digits of what was not what it should be
}

// With is the same store, which finds in these directories what it has not itself.
func (s *Store) With(dirs []*os.File) *Store {
	with := *s
	if with.others = nil; len(dirs) > 0 {
		with.others = &others{dirs: dirs}
	}
	return &with
}

func (o *others) has(hex string) bool {
	f := o.open(hex)
	if f == nil {
		return false
	}
	f.Close()
	return true
}

// open opens a blob, or returns nil where none has it. No symlink is followed, and a
// fifo is not waited for.
func (o *others) open(hex string) *os.File {
	if o == nil {
		return nil
	}
	if _, bad := o.bad.Load(hex); bad {
		return nil
	}
	for _, dir := range o.dirs {
		f, err := linux.OpenBeneath(dir, hex, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f
		}
		f.Close()
	}
	return nil
}

// distrust has a blob looked for elsewhere from now on.
func (o *others) distrust(digest string) {
	if o != nil {
		o.bad.Store(strings.TrimPrefix(digest, algorithm), true)
	}
}
