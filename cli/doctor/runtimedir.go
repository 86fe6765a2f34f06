package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"rootlet/internal/need"
)

// RuntimeDir says why a directory cannot serve as the user's XDG_RUNTIME_DIR
// (XDG Base Directory Specification): it must be his, and his alone.
func RuntimeDir(dir string, uid int) error {
	if dir == "" {
		return errors.New("XDG_RUNTIME_DIR is not set")
	}
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("XDG_RUNTIME_DIR: %q is no absolute path", dir)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("XDG_RUNTIME_DIR: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return fmt.Errorf("XDG_RUNTIME_DIR: %s is no directory", dir)
	case int(st.Uid) != uid:
		return fmt.Errorf("XDG_RUNTIME_DIR: %s belongs to the user %d, as after su", dir, st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		return &looseError{dir, info.Mode().Perm()}
	}
	return nil
}

// looseError is for a directory that others may enter.
type looseError struct {
	dir  string
	mode os.FileMode
}

func (e *looseError) Error() string {
	return fmt.Sprintf("XDG_RUNTIME_DIR: %s is open to others (mode %04o)", e.dir, e.mode)
}

// runtimeDirectory says where sockets and pids are.
func (h Host) runtimeDirectory() Need {
	n := Need{Name: need.RuntimeDirectory, Status: OK, Now: h.RuntimeDir}
	err := RuntimeDir(h.XDGRuntimeDir, h.UID)
	if err == nil {
		n.Now = filepath.Join(h.XDGRuntimeDir, "rootlet")
		return n
	}
	n.Status, n.Better, n.Why = Better, "one that the system clears", err.Error()
	if h.RuntimeDir == "" {
		n.Status, n.Now = Missing, "none: no container can run"
	}
	var loose *looseError
	if errors.As(err, &loose) {
		line := []string{"chmod", "700", loose.dir}
		n.Fix.User, n.Fix.Own = []string{"chmod 700 " + loose.dir}, [][]string{line}
		return n
	}
	usual := fmt.Sprintf("/run/user/%d", h.UID)
	n.Fix.User = []string{"export XDG_RUNTIME_DIR=" + usual}
	switch {
	case RuntimeDir(filepath.Join(h.Root, usual), h.UID) == nil:
	case h.Systemd:
		n.Fix.Admin = []string{"loginctl enable-linger " + h.User}
	default:
		n.Fix.Admin = []string{fmt.Sprintf("mkdir -p /run/user && install -d -m 700 -o %s %s", h.User, usual)}
	}
	return n
}
