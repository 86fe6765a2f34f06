package userns

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// getentWait is how long a directory service may take to say who we are.
const getentWait = 5 * time.Second

// notFound is getent(1)'s exit status for a key that is nowhere.
const notFound = 2

// errNoAccount is for a caller whose uid is nobody's: newuidmap refuses him.
var errNoAccount = errors.New("no account has this uid")

// hasAccount asks the system for the caller's account where /etc/passwd has none: it may
// come from a directory service. Without an answer he is taken to have one, as then
// newuidmap says so itself.
func (h *host) hasAccount() error {
	if slices.ContainsFunc(h.accounts, func(a account) bool { return a.uid == h.uid }) {
		return nil
	}
	getent, err := h.trustedProgram("getent", ownedByRoot)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), getentWait)
	defer cancel()
	c := exec.CommandContext(ctx, getent, "passwd", fmt.Sprint(h.uid))
	c.Env = []string{}
	var exit *exec.ExitError
	if errors.As(c.Run(), &exit) && exit.ExitCode() == notFound {
		return fmt.Errorf("newuidmap is of no use to the uid %d: %w, neither in /etc/passwd nor elsewhere", h.uid, errNoAccount)
	}
	return nil
}

// accountLine is the one that gives the caller an account.
func (h *host) accountLine() string {
	name := h.name
	if name == "" || slices.ContainsFunc(h.accounts, func(a account) bool { return a.name == name }) {
		name = fmt.Sprintf("user%d", h.uid)
	}
	return fmt.Sprintf("echo %s:x:%d:%d::/:/bin/sh >> /etc/passwd", name, h.uid, h.gid)
}
