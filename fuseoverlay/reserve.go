package fuseoverlay

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/unpack"
)

// LayerLimits bound what a layer may cost; zero fields have defaults.
type LayerLimits struct {
	unpack.Limits
	FreePercent int // of the disk, that stay free, but no more than maxReserve; default 5
}

const (
	defaultFree = 5
	maxReserve  = 10 << 30 // of a large disk a part is more than anybody misses
	reserveStep = 16 << 20 // bytes of the archive between two looks
)

// reserve ends the reading of an archive when the disk that it is unpacked to
// becomes too full: other programs need some of it, and so does whoever tidies up.
type reserve struct {
	tar     io.Reader
	dir     int
	percent int
	left    int64 // bytes until the next look
}

// Read implements io.Reader.
func (r *reserve) Read(p []byte) (int, error) {
	if r.left <= 0 {
		if err := r.look(); err != nil {
			return 0, err
		}
		r.left = reserveStep
	}
	n, err := r.tar.Read(p)
	r.left -= int64(n)
	return n, err
}

func (r *reserve) look() error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(r.dir, &fs); err != nil {
		return fmt.Errorf("look how full the disk is: %w", err)
	}
	if keep := keepFree(fs.Blocks*uint64(fs.Bsize), r.percent); fs.Bavail*uint64(fs.Bsize) < keep {
		return &fullError{keep: keep}
	}
	return nil
}

// keepFree is how many bytes of a disk stay free.
func keepFree(all uint64, percent int) uint64 {
	if percent <= 0 || percent > 100 {
		percent = defaultFree
	}
	return min(all/100*uint64(percent), maxReserve)
}

// fullError says that the disk is too full for images.
type fullError struct{ keep uint64 }

func (e *fullError) Error() string {
	return fmt.Sprintf("%d MiB of the disk are kept free (limit %s)", e.keep>>20, e.LimitKey())
}

// LimitKey is the setting's name, for whoever knows no more of the error.
func (*fullError) LimitKey() string { return "free-disk" }
