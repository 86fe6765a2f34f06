package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// whereFull says of an error which disk is full, where one is: that of what was
// written to, a file, a directory or standard output, which need not be the
// store's, where rmi makes room.
func whereFull(err error, written, data string) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	dir := dirOf(written)
	if dir == "" {
		return &fullError{err, ""}
	}
	hint := fmt.Sprintf("df -h %s: free some space there", dir)
	if sameDisk(dir, data) {
		hint += ", or remove images with rootlet rmi"
	}
	return &fullError{err, hint}
}

// dirOf is a directory that is there on the disk of what was written, which may be
// gone again; empty for a device or a pipe.
func dirOf(written string) string {
	if written == stdinPath {
		written = "/proc/self/fd/1"
	}
	if real, err := filepath.EvalSymlinks(written); err == nil {
		written = real
	}
	info, err := os.Stat(written)
	switch {
	case err == nil && info.IsDir():
		return written
	case err == nil && !info.Mode().IsRegular():
		return ""
	}
	return filepath.Dir(written)
}

func sameDisk(a, b string) bool {
	var one, other unix.Stat_t
	return unix.Stat(a, &one) == nil && unix.Stat(b, &other) == nil && one.Dev == other.Dev
}

// fullError is an error of a disk that is full.
type fullError struct {
	error
	hint string
}

// Unwrap gives the cause.
func (e *fullError) Unwrap() error { return e.error }

// Hint says where to make room.
func (e *fullError) Hint() string { return e.hint }
