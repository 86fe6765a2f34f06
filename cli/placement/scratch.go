package placement

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Scratch is where the layers of the store in data are below a directory for
// temporary files: in one that is the user's alone, in which each of his stores has
// another.
func Scratch(base, data string) string {
	sum := sha256.Sum256([]byte(data))
	const digits = 6
	return filepath.Join(base, "rootlet-"+strconv.Itoa(os.Geteuid()), hex.EncodeToString(sum[:digits]))
}

// Make makes a scratch, or checks one that is there: nothing that others made, can
// replace or can enter is used, and no link is followed.
func Make(scratch string) error {
	own := filepath.Dir(scratch)
	if err := sound(filepath.Dir(own)); err != nil {
		return err
	}
	for _, dir := range []string{own, scratch} {
		if err := makeOwn(dir); err != nil {
			return err
		}
	}
	return nil
}

// sound looks whether others can take away what is in a directory.
func sound(base string) error {
	info, err := os.Stat(base)
	if err != nil {
		return err
	}
	var st, root unix.Stat_t
	if err := errors.Join(unix.Stat(base, &st), unix.Stat("/", &root)); err != nil {
		return err
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", base)
	case int(st.Uid) != os.Geteuid() && st.Uid != root.Uid:
		return fmt.Errorf("%s belongs to another user, who could take away what is in it", base)
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others and has no sticky bit: they could take away what is in it", base)
	}
	return nil
}

// makeOwn makes a directory, or takes one that is the user's own.
func makeOwn(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is there and is not a directory of yours: it is not used", dir)
	}
	if st.Mode&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// Unmake takes a scratch away in which nothing is, if it is there still.
func Unmake(scratch string) {
	if err := os.Remove(scratch); err == nil || errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(filepath.Dir(scratch)) // unless another store's is beside it
	}
}

// Bases are the directories for temporary files, the best first: that of caches where
// the user has moved it, the one that he has for temporary files, the one that
// outlives a reboot, and the one that does not.
func Bases(getenv func(string) string) []string {
	var bases []string
	for _, dir := range []string{getenv("XDG_CACHE_HOME"), getenv("TMPDIR"), "/var/tmp", "/tmp"} {
		if dir = filepath.Clean(dir); filepath.IsAbs(dir) && !slices.Contains(bases, dir) {
			bases = append(bases, dir)
		}
	}
	return bases
}
