package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"rootlet/pull/credentials"
	"rootlet/pull/registries"
	"rootlet/pull/registry"
)

// loginCmd is `rootlet login`.
type loginCmd struct {
	Registry      string `arg:"" optional:"" help:"Registry, docker.io if not given; REGISTRY/PATH for what is below it only."`
	Username      string `name:"username" short:"u" placeholder:"NAME" help:"User name."`
	Password      string `name:"password" short:"p" placeholder:"PASSWORD" help:"Password or token; others can see it in the list of processes."`
	PasswordStdin bool   `name:"password-stdin" help:"Read the password from standard input."`
	GetLogin      bool   `name:"get-login" help:"Print who is logged in, and do nothing else."`
	AuthFile      string `name:"authfile" placeholder:"FILE" help:"Keep the login in this file."`
	TLSVerify     *bool  `name:"tls-verify" help:"Check the registry's certificate."`
}

// Run has the registry check a login, and keeps it.
func (c *loginCmd) Run(a *app) error {
	host, key, err := loginKey(c.Registry)
	if err != nil {
		return err
	}
	settings, err := a.registries(c.AuthFile)
	if err != nil {
		return err
	}
	if c.GetLogin {
		return a.printLogin(settings, host, key)
	}
	if err := c.checkFlags(); err != nil {
		return err
	}
	config, err := a.registryHost(settings, host, c.TLSVerify)
	if err != nil {
		return err
	}
	if known := config.Login; c.Username == "" && c.Password == "" && known != (registry.Login{}) {
		fmt.Fprintf(a.stdout, "Authenticating with existing credentials... [Username: %s]\n", printable(known.Username))
		err := a.checkLogin(config)
		if err == nil {
			return c.succeeded(a)
		}
		a.notice("the credentials that are there do not work: " + err.Error())
	}
	if config.Login, err = c.ask(a); err != nil {
		return err
	}
	if err := a.checkLogin(config); err != nil {
		return err
	}
	var place credentials.Place
	err = a.askingHelpers(func(ctx context.Context) error {
		if place, err = settings.Logins().Save(ctx, key, config.Login, credentials.NewFile(os.Getenv)); err != nil {
			return fmt.Errorf("keep the login: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if place.Helper == "" {
		a.notice(fmt.Sprintf("WARNING! Your credentials are stored unencrypted in %q; a credential helper would keep them safe", place.File))
	}
	return c.succeeded(a)
}

// checkLogin has a registry check a login.
func (a *app) checkLogin(config registry.Config) error {
	err := a.breakable(func(ctx context.Context) error { return registry.CheckLogin(ctx, config) })
	var interrupted *interruptedError
	if err == nil || errors.As(err, &interrupted) {
		return err
	}
	return &loginError{config.Host, err}
}

func (c *loginCmd) succeeded(a *app) error {
	_, err := fmt.Fprintln(a.stdout, "Login Succeeded")
	return err
}

// checkFlags says what Docker says.
func (c *loginCmd) checkFlags() error {
	switch {
	case c.PasswordStdin && c.Password != "":
		return errors.New("--password and --password-stdin are mutually exclusive")
	case c.PasswordStdin && c.Username == "":
		return errors.New("must provide --username with --password-stdin")
	}
	return nil
}

// ask gets what is missing of a login from its user.
func (c *loginCmd) ask(a *app) (registry.Login, error) {
	l := registry.Login{Username: c.Username, Password: c.Password}
	var err error
	switch {
	case c.Password != "":
		a.notice("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
	case c.PasswordStdin:
		l.Password, err = readPassword(a.stdin)
	}
	if err == nil && (l.Username == "" || l.Password == "" && !c.PasswordStdin) {
		l, err = a.askLogin(l)
	}
	switch {
	case err != nil:
		return l, err
	case l.Username == "":
		return l, errors.New("username is empty")
	case l.Password == "":
		return l, errors.New("password is empty")
	}
	return l, nil
}

// maxPassword is enough for any token.
const maxPassword = 64 << 10

// readPassword reads all of standard input, but for the end of its line.
func readPassword(from io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxPassword+1))
	if err == nil && len(b) > maxPassword {
		err = fmt.Errorf("more than %d KiB", maxPassword>>10)
	}
	if err != nil {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// loginKey is the registry that a user means, in whatever form he has it, and what
// its login is kept under.
func loginKey(given string) (host, key string, err error) {
	host, key, err = registries.LoginKey(given)
	if err != nil {
		err = fmt.Errorf("registry %q: %w", given, err)
	}
	return host, key, err
}

func (a *app) printLogin(settings *registries.Settings, host, key string) error {
	var login registry.Login
	err := a.askingHelpers(func(ctx context.Context) (err error) {
		login, err = settings.Logins().Find(ctx, host, strings.TrimPrefix(strings.TrimPrefix(key, host), "/"))
		return err
	})
	switch {
	case err != nil:
		return err
	case login == (registry.Login{}):
		return fmt.Errorf("not logged in to %s", key)
	case login.Username == "":
		login.Username = "<token>"
	}
	_, err = fmt.Fprintln(a.stdout, printable(login.Username))
	return err
}

// loginError is a registry that does not take a login.
type loginError struct {
	host string
	err  error
}

func (e *loginError) Error() string { return "login to " + e.host + ": " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

// Hint is what may help.
func (e *loginError) Hint() string {
	var status *registry.StatusError
	var network *registry.NetworkError
	switch {
	case errors.As(e.err, &network) && network.PlainHTTP:
		return "the registry speaks http only: --tls-verify=false"
	case errors.As(e.err, &status) && status.Unauthorized() && e.host == "docker.io":
		return "Docker Hub wants a personal access token in the place of a password where two-factor authentication is on"
	}
	return ""
}
