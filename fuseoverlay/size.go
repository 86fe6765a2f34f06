package fuseoverlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rootlet/fuseoverlay/tree"

	"golang.org/x/sys/unix"
)

// Written is how many bytes the files hold that a container has written or
// changed; under the copy driver those that changed after the copy was made. dir
// is the container's directory. It runs in U1, where all ids may be read; the
// container may run.
func Written(dir string) (int64, error) { return measure(dir, tree.Size) }

// Taken is how many bytes of the disk the same files take, and the directories that they
// are in. One that cannot be measured is ErrTooDeep.
func Taken(dir string) (int64, error) { return measure(dir, tree.Allocated) }

// ErrTooDeep says that a container has nested directories beyond measure.
var ErrTooDeep = tree.ErrTooDeep

func measure(dir string, add func(dir int, base string, counts func(*unix.Stat_t) bool) (int64, error)) (int64, error) {
	driver, err := recordedDriver(dir)
	if err != nil || driver == "" {
		return 0, err
	}
	own, name := ownDir(dir), upperName
	var counts func(*unix.Stat_t) bool
	if driver == Copy {
		copied := copiedAt(own)
		name = treeName
		// What was copied last may bear the very time of the note.
		counts = func(st *unix.Stat_t) bool { return st.Ctim.Nano() > copied.Nano() }
	}
	at, err := os.Open(own)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer at.Close()
	size, err := add(int(at.Fd()), name, counts)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", filepath.Join(own, name), err)
	}
	return size, nil
}
