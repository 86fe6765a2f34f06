package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"rootlet/cli/doctor"
	"rootlet/cli/placement"
	"rootlet/internal/need"
	"rootlet/sandbox"
)

// findPaths says where this user's things are, and makes the two directories.
// Nothing is ever below /tmp, and nothing readable for others.
func findPaths() (sandbox.Paths, error) {
	data, err := dataDir()
	if err == nil {
		data, err = followMoved(data)
	}
	if err != nil {
		return sandbox.Paths{}, &lackError{need.Storage, err}
	}
	p := sandbox.Paths{Data: data, Runtime: runtimeDir(data)}
	for _, dir := range []string{p.Data, p.Runtime} {
		if err := makePrivate(dir); err != nil {
			return sandbox.Paths{}, &lackError{need.Storage, err}
		}
	}
	if r, ok := placement.Read(p.Data); ok {
		p.Layers = r.Layers
	}
	return p, nil
}

// lackError is an error that comes of what this host, or the user's surroundings,
// lack.
type lackError struct {
	need string
	err  error
}

func (e *lackError) Error() string { return e.err.Error() }
func (e *lackError) Unwrap() error { return e.err }

// Need is the line of doctor about it.
func (e *lackError) Need() string { return e.need }

// dataDir is $XDG_DATA_HOME/rootlet (XDG Base Directory Specification).
func dataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rootlet"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", errors.New("where to keep images is unknown: set HOME or XDG_DATA_HOME to a directory of yours")
	}
	return filepath.Join(home, ".local", "share", "rootlet"), nil
}

// runtimeDir is $XDG_RUNTIME_DIR/rootlet, or a directory below data where that
// variable is missing or names something that is not the user's alone, as after
// su.
func runtimeDir(data string) string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if doctor.RuntimeDir(dir, os.Geteuid()) == nil {
		return filepath.Join(dir, "rootlet")
	}
	return filepath.Join(data, "run")
}

// makePrivate makes a directory that only the user may enter, or checks that
// one is: somebody else's in its place is never used (CVE-2019-12439).
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory of yours", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}
