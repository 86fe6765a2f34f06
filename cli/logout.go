package cli

import (
	"context"
	"fmt"

	"rootlet/pull/credentials"
)

// logoutCmd is `rootlet logout`.
type logoutCmd struct {
	Registry string `arg:"" optional:"" help:"Registry, docker.io if not given."`
	All      bool   `name:"all" short:"a" help:"Forget the logins of all registries."`
	AuthFile string `name:"authfile" placeholder:"FILE" help:"Forget what this file holds."`
}

// Run forgets logins.
func (c *logoutCmd) Run(a *app) error {
	settings, err := a.registries(c.AuthFile)
	if err != nil {
		return err
	}
	logins := settings.Logins()
	if c.All {
		if c.Registry != "" {
			return fmt.Errorf("--all and a registry cannot go together")
		}
		hosts, err := logins.Hosts()
		if err != nil {
			return err
		}
		return a.each(hosts, func(key string) error { return forgetLogin(a, logins, key) })
	}
	_, key, err := loginKey(c.Registry)
	if err != nil {
		return err
	}
	return forgetLogin(a, logins, key)
}

// forgetLogin says what Docker says.
func forgetLogin(a *app, logins *credentials.Set, key string) error {
	n := 0
	err := a.askingHelpers(func(ctx context.Context) (err error) {
		if n, err = logins.Erase(ctx, key); err != nil {
			return fmt.Errorf("log out of %s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	words := "Removing login credentials for"
	if n == 0 {
		words = "Not logged in to"
	}
	_, err = fmt.Fprintln(a.stdout, words, printable(credentials.Server(key)))
	return err
}
