package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/term"

	"rootlet/pull/registry"
	"rootlet/sandbox"
)

// breakable does something in this very process until it is done, or a signal ends
// it.
func (a *app) breakable(do func(context.Context) error) error {
	a.catchSignals()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case s := <-a.signals:
			if sandbox.EndsWork(s) {
				return &interruptedError{s.(syscall.Signal)}
			}
		}
	}
}

// askLogin asks at the terminal for what is missing of a login; a password is not
// shown.
func (a *app) askLogin(l registry.Login) (registry.Login, error) {
	fd := int(a.stdin.Fd())
	if !term.IsTerminal(fd) {
		return l, errNoTerminal
	}
	state, err := term.GetState(fd)
	if err != nil {
		return l, err
	}
	defer term.Restore(fd, state) //nolint:errcheck // there is nothing else to do
	answer := l
	err = a.breakable(func(context.Context) (err error) {
		answer, err = a.readLogin(fd, l)
		return err
	})
	if err != nil {
		fmt.Fprintln(a.out) // the cursor stands behind a question
		return l, err
	}
	return answer, nil
}

func (a *app) readLogin(fd int, l registry.Login) (registry.Login, error) {
	if l.Username == "" {
		fmt.Fprint(a.out, "Username: ")
		line, err := bufio.NewReaderSize(a.stdin, 1).ReadString('\n')
		if err != nil {
			return l, fmt.Errorf("read the user name: %w", err)
		}
		l.Username = strings.TrimSpace(line)
	}
	if l.Password == "" {
		fmt.Fprint(a.out, "Password: ")
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(a.out)
		if err != nil {
			return l, fmt.Errorf("read the password: %w", err)
		}
		l.Password = string(text)
	}
	return l, nil
}

var errNoTerminal = errors.New("cannot perform an interactive login from a non-TTY device: give --username and --password-stdin")
