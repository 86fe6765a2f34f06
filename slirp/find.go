package slirp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/distro"
	"rootlet/internal/need"
)

// versionWait is how long Available lets the program think about its version.
const versionWait = 5 * time.Second

// NotInstalledError says that a driver's program is not to be found, nor any other
// of its kind.
type NotInstalledError struct{ Programs []string }

// Error names the first.
func (e *NotInstalledError) Error() string {
	return strings.Join(e.Programs, " or ") + " is not installed"
}

// Hint is what an administrator would type.
func (e *NotInstalledError) Hint() string {
	return distro.Here().Install(e.Programs[0])
}

// Need is the line of doctor about it.
func (e *NotInstalledError) Need() string { return need.Network }

// Available names the program that Start would run for a driver and its version, such
// as "1.2.0 (libslirp 4.7.0)". It runs the program, which takes milliseconds: it is
// for rootlet info, and Start does without. The error is a *NotInstalledError, or says
// why the program that was found is of no use.
func Available(driver string) (path, version string, err error) {
	path, err = programOf(driver)
	if err != nil {
		return "", "", err
	}
	if driver == Builtin {
		return "", "in this binary", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return path, "", fmt.Errorf("%s --version: %w", path, err)
	}
	version, err = parseVersion(driver, out)
	if err != nil {
		return path, "", fmt.Errorf("%s --version: %w", path, err)
	}
	return path, version, nil
}

// fixedDirs are looked in before PATH, so that a name early in someone's PATH
// does not stand for the distribution's program.
func fixedDirs() []string {
	return []string{"/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/local/sbin", "/sbin"}
}

// find returns the first such program of the fixed directories, then of the
// absolute ones in a PATH variable. A relative entry would depend on where the
// user stands.
func find(program string, fixed []string, path string) (string, error) {
	for _, dir := range append(fixed, filepath.SplitList(path)...) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if name := filepath.Join(dir, program); runnable(name) {
			return name, nil
		}
	}
	return "", &NotInstalledError{Programs: []string{program}}
}

func runnable(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.Mode().IsRegular() && unix.Access(name, unix.X_OK) == nil
}

// parseVersion reads the first line, "slirp4netns version 1.2.0" or "pasta 2024_07_26",
// and the line with the version of libslirp, which is where the protocols are.
func parseVersion(program string, out []byte) (string, error) {
	var version, library string
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if v, ok := strings.CutPrefix(text, program+" "); ok && version == "" {
			version = strings.TrimPrefix(v, "version ")
		}
		if v, ok := strings.CutPrefix(text, "libslirp: "); ok {
			library = v
		}
	}
	if version == "" || hasControl(version) || hasControl(library) {
		return "", errors.New("no version in what it prints")
	}
	if library != "" {
		version += " (libslirp " + library + ")"
	}
	return version, nil
}
