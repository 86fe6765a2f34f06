package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Settings are what of a container may change in its life: all else is Spec's,
// which never does. There is none until something was changed.
type Settings struct {
	Version  int          `json:"version"`
	Name     string       `json:"name"`
	Restart  Restart      `json:"restart"`
	Networks []Attachment `json:"networks,omitempty"`
	Limits   *Limits      `json:"limits,omitempty"` // nil: Spec's
}

const settingsFile = "settings.json"

// Refresh puts what has changed since creation over s.
func (r Root) Refresh(s *Spec) error {
	var now Settings
	err := readJSON(filepath.Join(r.Dir(s.ID), settingsFile), &now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Name, s.Restart, s.Networks = now.Name, now.Restart, now.Networks
	if now.Limits != nil {
		s.Limits = *now.Limits
	}
	return nil
}

// Change has edit change a container's settings. Two that change the same
// container's take turns; nobody who reads waits.
func (r Root) Change(id string, edit func(*Settings) error) error {
	turn, err := r.takeTurn(id, unix.F_OFD_SETLKW)
	if err != nil {
		return err
	}
	defer turn.Close()
	s, err := r.Spec(id)
	if err != nil {
		return err
	}
	now := Settings{Version: Version, Name: s.Name, Restart: s.Restart, Networks: s.Networks, Limits: &s.Limits}
	if err := edit(&now); err != nil {
		return err
	}
	return writeJSON(r.Dir(id), settingsFile, now, true)
}

// takeTurn locks a container's settings until the file is closed. It is another
// lock than the monitor's, which is held for as long as the container lives.
// how is F_OFD_SETLKW to wait for it, or F_OFD_SETLK not to.
func (r Root) takeTurn(id string, how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(r.Dir(id), ".settings"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	for {
		err = unix.FcntlFlock(f.Fd(), how, &whole)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock settings: %w", err)
		}
	}
}

// Rename gives a container another name. It returns a *NameTakenError where
// another container has it. While the record changes both names lead to the
// container; one that a crash leaves over is taken by the next who wants it.
func (r Root) Rename(id, name string) error {
	old := ""
	err := r.Change(id, func(now *Settings) error {
		if name == now.Name {
			return fmt.Errorf("container %s has the name %q already", id[:12], name)
		}
		taken, err := r.takeName(name, id)
		if err != nil {
			return err
		}
		old, now.Name = now.Name, taken
		return nil
	})
	if err != nil || old == "" {
		return err
	}
	return r.freeName(old, id)
}
