package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// What is asked of systemd, and of its files, for system autostart.

// systemdRuns is sd_booted(3).
func systemdRuns() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// managerWait is how long the user manager may take to answer.
const managerWait = 10 * time.Second

// userManager tells the user's systemd something.
func userManager(words ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), managerWait)
	defer cancel()
	return exec.CommandContext(ctx, "systemctl", append([]string{"--user"}, words...)...).Run()
}

// lingers reports whether the user's systemd runs from boot on, logged in or
// not: what loginctl(1) enable-linger leaves.
func lingers() bool {
	name := os.Getenv("USER")
	if name == "" || name != filepath.Base(name) {
		return false
	}
	_, err := os.Lstat(filepath.Join("/var/lib/systemd/linger", name))
	return err == nil
}
