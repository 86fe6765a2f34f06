// Package reserve keeps a part of the disk free, whatever images cost: other
// programs need some of it, and so does whoever tidies up. It is the limit
// free-disk. Who writes what an image brings says so before he does: package
// fuseoverlay of layers, pull/blobs of blobs, cli of what it spools. It only looks
// at the disk, and removes nothing; what was written is its writer's to take back.
package reserve

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

const (
	defaultPercent = 5
	mostKept       = 10 << 30 // of a large disk a part is more than anybody misses

	// Between two looks a writer may take this part of what is left, in bytes at
	// least and at most so many: those who fill a small disk together, two for each
	// layer of a pull, do not reach into what is kept between two looks, and on a
	// large one nobody looks often.
	stepPart  = 16
	leastStep = 256 << 10
	mostStep  = 16 << 20
)

// Watch looks after the disk for one writer; it belongs to one goroutine.
type Watch struct {
	fd      int
	percent int
	left    int64 // bytes until the next look
}

// On watches the disk that an open file or directory is on. So many percent of it
// stay free, but at most 10 GiB; nothing or nonsense stands for 5.
func On(fd, percent int) *Watch { return &Watch{fd: fd, percent: percent} }

// Take is called before n bytes are written. It refuses them where they would go
// into what is kept free.
func (w *Watch) Take(n int64) error {
	if w.left -= n; w.left >= 0 {
		return nil
	}
	return w.Look(n)
}

// Look looks at once whether n bytes have room; who knows how much will come need
// not begin.
func (w *Watch) Look(n int64) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(w.fd, &fs); err != nil {
		return fmt.Errorf("look how full the disk is: %w", err)
	}
	if fs.Blocks == 0 { // ramfs and the like, which know no size
		w.left = mostStep
		return nil
	}
	keep, free := kept(fs.Blocks*uint64(fs.Bsize), w.percent), fs.Bavail*uint64(fs.Bsize)
	if free < keep || free-keep < uint64(max(n, 0)) {
		return &fullError{keep: keep}
	}
	w.left = step(free - keep)
	return nil
}

// step is how much may be written until the next look.
func step(left uint64) int64 { return int64(min(max(left/stepPart, leastStep), mostStep)) }

// kept is how many bytes of a disk stay free.
func kept(all uint64, percent int) uint64 {
	if percent <= 0 || percent >= 100 {
		percent = defaultPercent
	}
	part := uint64(percent)
	return min(all/100*part+all%100*part/100, mostKept)
}

// Reader is what is read while about as much is written: it ends with an error
// before the disk becomes too full.
func (w *Watch) Reader(r io.Reader) io.Reader { return &reader{r, w} }

type reader struct {
	from io.Reader
	disk *Watch
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if full := r.disk.Take(int64(n)); full != nil {
		return 0, full
	}
	return n, err
}

// fullError says that the disk is too full for images.
type fullError struct{ keep uint64 }

func (e *fullError) Error() string {
	return fmt.Sprintf("%d MiB of the disk are kept free (limit %s)", e.keep>>20, e.LimitKey())
}

// LimitKey is the setting's name, for whoever knows no more of the error.
func (*fullError) LimitKey() string { return "free-disk" }
