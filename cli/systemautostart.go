package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rootlet/cli/autostart"
	"rootlet/sandbox/record"
)

// systemAutostartCmd is `rootlet system autostart`. A container's restart policy
// is kept by its monitor, which does not outlive a reboot: this has the
// containers started again.
type systemAutostartCmd struct {
	Action string `arg:"" name:"action" optional:"" default:"status" enum:"enable,disable,status,run,stop" help:"enable, disable, status; or run and stop, which the unit does."`
}

// Run does the one thing of five.
func (c *systemAutostartCmd) Run(a *app) error {
	switch c.Action {
	case "run":
		return a.startAll()
	case "stop":
		return a.stopAll()
	}
	units, err := unitDir()
	if err != nil {
		return err
	}
	switch c.Action {
	case "enable":
		return a.enableAutostart(units)
	case "disable":
		return a.disableAutostart(units)
	}
	return a.showAutostart(units)
}

// unitDir is where a user's own units are (systemd.unit(5)).
func unitDir() (autostart.Dir, error) {
	config := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		home, err := os.UserHomeDir()
		if err != nil || !filepath.IsAbs(home) {
			return "", errors.New("where units are is unknown: set HOME or XDG_CONFIG_HOME to a directory of yours")
		}
		config = filepath.Join(home, ".config")
	}
	return autostart.Dir(filepath.Join(config, "systemd", "user")), nil
}

func (a *app) enableAutostart(units autostart.Dir) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if !systemdRuns() {
		return &noSystemdError{program}
	}
	unit := autostart.Unit{Program: program, Env: map[string]string{"PATH": os.Getenv("PATH")}}
	for _, name := range []string{"XDG_DATA_HOME", "ROOTLET_LAYERS_DIR", "ROOTLET_STORAGE_DRIVER"} {
		if value := os.Getenv(name); value != "" {
			unit.Env[name] = value
		}
	}
	changed, err := units.Enable(unit)
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	if changed {
		fmt.Fprintln(a.stdout, "Written: "+units.Path())
	}
	fmt.Fprintln(a.stdout, "Autostart is enabled: containers with the restart policy always or unless-stopped start when you log in.")
	if changed && userManager("daemon-reload") != nil {
		a.notice("no user manager of systemd's answers in this session; it finds the unit the next time it starts")
	}
	if !lingers() {
		fmt.Fprintln(a.stdout, "To have them start at boot, and outlive your logout:\n    loginctl enable-linger")
	}
	return nil
}

// noSystemdError says how it is done where there is no systemd.
type noSystemdError struct{ program string }

func (e *noSystemdError) Error() string {
	return "autostart: this host was not booted with systemd: nothing was changed"
}

// Hint says what to type.
func (e *noSystemdError) Hint() string {
	line := "@reboot " + shellWord(e.program) + " system autostart run"
	return "cron can do it; this adds a line to your crontab:\n(crontab -l 2>/dev/null; echo " + shellWord(line) + ") | crontab -"
}

// shellWord is one word for sh.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (a *app) disableAutostart(units autostart.Dir) error {
	changed, err := units.Disable()
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	if !changed {
		_, err = fmt.Fprintln(a.stdout, "Autostart was not enabled.")
		return err
	}
	_ = userManager("daemon-reload") // where none answers there is nothing to forget
	_, err = fmt.Fprintln(a.stdout, "Removed: "+units.Path()+"\nAutostart is disabled; what runs goes on running.")
	return err
}

func (a *app) showAutostart(units autostart.Dir) error {
	enabled, err := units.Enabled()
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		return err
	}
	state, when := "disabled", "at login"
	if enabled {
		state = "enabled (" + units.Path() + ")"
	}
	if lingers() {
		when = "at boot"
	}
	var names []string
	for _, e := range entries {
		if e.Err == nil && startsAgain(e) {
			names = append(names, e.Spec.Name)
		}
	}
	slices.Sort(names)
	_, err = fmt.Fprintf(a.stdout, "Autostart: %s\nStarts: %s\nContainers: %s\n", state, when, strings.Join(names, " "))
	return err
}
