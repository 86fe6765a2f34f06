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
// changed. dir is the container's directory; since is a file that was written
// once its root was mounted for the first time: under the copy driver what
// changed later is the container's own. It runs in U1, where all ids may be
// read; the container may run.
func Written(dir, since string) (int64, error) {
	driver, err := recordedDriver(dir)
	if err != nil || driver == "" {
		return 0, err
	}
	name, counts := upperName, func(*unix.Stat_t) bool { return true }
	if driver == Copy {
		var began unix.Stat_t
		if err := unix.Stat(since, &began); err != nil {
			return 0, fmt.Errorf("stat %s: %w", since, err)
		}
		name = treeName
		counts = func(st *unix.Stat_t) bool {
			return st.Ctim.Sec > began.Mtim.Sec || st.Ctim.Sec == began.Mtim.Sec && st.Ctim.Nsec > began.Mtim.Nsec
		}
	}
	at, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer at.Close()
	size, err := tree.Size(int(at.Fd()), name, counts)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", filepath.Join(dir, name), err)
	}
	return size, nil
}
