package builtin

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// fileMax bounds what is read of a file of the host, in bytes.
const fileMax = 1 << 20

// statTime is how often a file is looked at, at most.
const statTime = time.Second

// A watched file is read anew when it has changed. A missing one is an empty one.
type watched[T any] struct {
	path  string
	parse func([]byte) T
	now   func() time.Time

	mu      sync.Mutex
	checked time.Time
	stamp   stamp
	value   T
}

// stamp tells two states of a file apart. The inode does where one was renamed
// over the other, as resolv.conf's keepers do.
type stamp struct {
	inode, device  uint64
	size           int64
	changed, inner int64
	there          bool
}

func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if !w.checked.IsZero() && now.Sub(w.checked) < statTime {
		return w.value
	}
	first := w.checked.IsZero()
	w.checked = now
	if s := stampOf(w.path); first || s != w.stamp {
		w.stamp = s
		w.value = w.parse(readFile(w.path))
	}
	return w.value
}

func stampOf(path string) stamp {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return stamp{}
	}
	return stamp{
		inode: st.Ino, device: uint64(st.Dev), size: st.Size,
		changed: int64(st.Mtim.Sec), inner: int64(st.Mtim.Nsec), there: true,
	}
}

func readFile(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a fifo does not hold us
	if err != nil {
		return nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, fileMax))
	if err != nil {
		return nil
	}
	return content
}
