package testenv

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Outcome puts what came of an attempt into a word: yes, or the kernel's name for why not,
// or the error's text where it was not the kernel.
func Outcome(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "yes"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
