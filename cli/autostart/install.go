package autostart

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is $XDG_CONFIG_HOME/systemd/user, where a user's own units are.
type Dir string

// Path is that of the unit.
func (d Dir) Path() string { return filepath.Join(string(d), Name) }

// link is what enables it, as `systemctl --user enable` would make it.
func (d Dir) link() string { return filepath.Join(string(d), "default.target.wants", Name) }

// Enabled reports whether the unit is there, is ours, and is to be started.
func (d Dir) Enabled() (bool, error) {
	text, err := d.read()
	if err != nil || text == nil {
		return false, err
	}
	target, err := filepath.EvalSymlinks(d.link())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	own, err := filepath.EvalSymlinks(d.Path())
	return target == own, err
}

// Enable writes the unit and has it started, and reports whether that changed
// anything.
func (d Dir) Enable(u Unit) (bool, error) {
	text, err := u.Text()
	if err != nil {
		return false, err
	}
	there, err := d.read()
	if err != nil {
		return false, err
	}
	enabled, err := d.Enabled()
	if err != nil {
		return false, err
	}
	if enabled && string(there) == text {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(d.link()), 0o755); err != nil {
		return false, err
	}
	if err := replace(d.Path(), text); err != nil {
		return false, err
	}
	if enabled {
		return true, nil
	}
	if err := os.Remove(d.link()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, os.Symlink(d.Path(), d.link())
}

// Disable removes what Enable made, and reports whether there was anything.
func (d Dir) Disable() (bool, error) {
	text, err := d.read()
	if err != nil || text == nil {
		return false, err
	}
	for _, path := range []string{d.link(), d.Path()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}

// read returns the unit's text, nil where there is none. It refuses a file that
// is not ours.
func (d Dir) read() ([]byte, error) {
	info, err := os.Lstat(d.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text := []byte{}
	if info.Mode().IsRegular() {
		if text, err = os.ReadFile(d.Path()); err != nil {
			return nil, err
		}
	}
	if !bytes.HasPrefix(text, []byte(mark)) {
		return nil, &ForeignError{d.Path()}
	}
	return text, nil
}

// ForeignError refuses to touch a unit that someone else wrote.
type ForeignError struct{ Path string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is there, and was not written by rootlet", e.Path)
}

// Hint says what to do.
func (e *ForeignError) Hint() string { return "move it away first: " + e.Path }

// replace writes a file whole or not at all.
func replace(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rootlet-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
