package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"rootlet/cli/placement"
)

// The data directory may have been moved (`rootlet system move`): then a link of the
// user's own is in its place, and says where it is.

// followMoved is the directory itself. A link of somebody else's is not followed, nor
// one to what no move has made; makePrivate looks whose it is.
func followMoved(named string) (string, error) {
	info, err := os.Lstat(named)
	if errors.Is(err, fs.ErrNotExist) {
		return named, finishMove(named)
	}
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return named, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is a link of somebody else's", named)
	}
	target, err := os.Readlink(named)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(named), target)
	}
	if _, err := os.Lstat(target); errors.Is(err, fs.ErrNotExist) {
		return "", &placeError{
			fmt.Errorf("the data was moved to %s, which is not there: is its disk mounted?", target),
			fmt.Sprintf("mount it; or to begin anew, rm %s", shellWord(named)),
		}
	}
	if info, err = os.Lstat(target); err != nil || info.Mode() != fs.ModeDir|0o700 || !placement.Has(target) {
		return "", fmt.Errorf("%s is a link to %s, which is no data directory of rootlet's", named, target)
	}
	return target, nil
}
