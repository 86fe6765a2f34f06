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
)

const program = "slirp4netns"

// versionWait is how long Available lets the program think about its version.
const versionWait = 5 * time.Second

// ErrNotInstalled says that no slirp4netns is to be found.
var ErrNotInstalled = errors.New("slirp4netns is not installed")

// Available names the slirp4netns that Start would run and its version, such as
// "1.2.0 (libslirp 4.7.0)". It runs the program, which takes milliseconds: it is
// for rootlet info, and Start does without. The error is ErrNotInstalled, or says
// why the program that was found is of no use.
func Available() (path, version string, err error) {
	path, err = find(fixedDirs(), os.Getenv("PATH"))
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return path, "", fmt.Errorf("%s --version: %w", path, err)
	}
	version, err = parseVersion(out)
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

// find returns the first slirp4netns of the fixed directories, then of the
// absolute ones in a PATH variable. A relative entry would depend on where the
// user stands.
func find(fixed []string, path string) (string, error) {
	for _, dir := range append(fixed, filepath.SplitList(path)...) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if name := filepath.Join(dir, program); runnable(name) {
			return name, nil
		}
	}
	return "", ErrNotInstalled
}

func runnable(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.Mode().IsRegular() && unix.Access(name, unix.X_OK) == nil
}

// parseVersion reads the first line, "slirp4netns version 1.2.0", and the line
// with the version of libslirp, which is where the protocols are.
func parseVersion(out []byte) (string, error) {
	var version, library string
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if v, ok := strings.CutPrefix(text, program+" version "); ok {
			version = v
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
