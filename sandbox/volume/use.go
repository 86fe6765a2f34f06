package volume

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Lease is a volume that cannot be removed until the lease is closed.
type Lease struct {
	Volume
	Path string // what to mount
	Made bool   // it was not there before

	dir  string
	lock *os.File
}

// Close ends the use of the volume.
func (l *Lease) Close() error { return l.lock.Close() }

// ReadOnly, Recursive and NoExec say how a volume that stands for a directory of
// the host's wants to be mounted.
func (l *Lease) ReadOnly() bool  { return l.flags().readOnly }
func (l *Lease) Recursive() bool { return l.flags().recursive }
func (l *Lease) NoExec() bool    { return l.flags().noExec }

func (l *Lease) flags() flags {
	f, _ := bindFlags(l.Options["o"]) // read when the volume was made
	return f
}

// Use takes a volume into use, and makes it where it does not exist.
func (s Store) Use(v Volume, durable bool) (*Lease, error) {
	for {
		made, err := s.Create(v, durable)
		if err != nil {
			return nil, err
		}
		lock, err := s.lock(v.Name, unix.F_RDLCK, unix.F_OFD_SETLKW)
		var gone *NotFoundError
		if errors.As(err, &gone) {
			continue // removed in between
		}
		if err != nil {
			return nil, err
		}
		l := &Lease{dir: s.dir(v.Name), lock: lock, Path: s.Mountpoint(v.Name), Made: made}
		if l.Volume, err = s.Inspect(v.Name); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		if device := l.Device(); device != "" {
			l.dir, l.Path = device, device
		}
		return l, nil
	}
}
