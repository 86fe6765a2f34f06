package sandbox

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// keepScratch keeps a cleaner from the layers below a container that runs: systemd's
// passes over a directory that somebody has locked (tmpfiles.d(5), flock(2)). Other
// cleaners do not ask. It is no failure where that cannot be had.
func (m *monitor) keepScratch() {
	if m.Paths.Layers == "" {
		return
	}
	f, err := os.Open(filepath.Dir(m.Paths.Layers)) // what a cleaner of /var/tmp comes to
	if err != nil {
		return
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		f.Close()
		return
	}
	m.holdScratch(f)
}

func (m *monitor) holdScratch(f *os.File) {
	m.scratch = f
	m.later(f.Close)
}
