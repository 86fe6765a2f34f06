package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/pull/registry"
)

const (
	// helperTime is how long a helper may take: it may ask its user to unlock a
	// key ring.
	helperTime = 60 * time.Second

	helperPrefix = "docker-credential-"
	maxAnswer    = 1 << 20

	tokenUser = "<token>" // as whom a helper keeps an identity token
)

// errNone is a helper's word that it has no credentials, in the words of
// docker/docker-credential-helpers, by which callers know it.
var errNone = errors.New("credentials not found in native keychain")

// answer is what a helper prints, and what it is told to keep.
type answer struct {
	ServerURL string
	Username  string
	Secret    string
}

// Server is what Docker and its helpers know a registry by.
func Server(host string) string {
	if host == hub {
		return hubServer
	}
	return host
}

// ask gets a login from a helper; none is no error.
func ask(ctx context.Context, helper, host string) (registry.Login, error) {
	output, err := run(ctx, helper, "get", []byte(Server(host)))
	if errors.Is(err, errNone) {
		return registry.Login{}, nil
	}
	if err != nil {
		return registry.Login{}, err
	}
	var a answer
	if err := json.Unmarshal(output, &a); err != nil {
		return registry.Login{}, fmt.Errorf("%s%s: what it says of %s is not JSON", helperPrefix, helper, host)
	}
	if a.Username == tokenUser {
		return registry.Login{IdentityToken: a.Secret}, nil
	}
	return registry.Login{Username: a.Username, Password: a.Secret}, nil
}

// tell has a helper keep a login.
func tell(ctx context.Context, helper, host string, l registry.Login) error {
	a := answer{ServerURL: Server(host), Username: l.Username, Secret: l.Password}
	if l.IdentityToken != "" {
		a.Username, a.Secret = tokenUser, l.IdentityToken
	}
	input, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = run(ctx, helper, "store", input)
	return err
}

// forget has a helper forget a login, whether it has one or not.
func forget(ctx context.Context, helper, host string) error {
	_, err := run(ctx, helper, "erase", []byte(Server(host)))
	if errors.Is(err, errNone) {
		return nil
	}
	return err
}

// run runs a helper, as the user and from his PATH, and returns what it prints.
// Its input and its answer are secrets: no error quotes them.
func run(ctx context.Context, helper, verb string, input []byte) ([]byte, error) {
	name := helperPrefix + helper
	if strings.ContainsAny(helper, "/\x00") {
		return nil, fmt.Errorf("credential helper %q: a name, not a path", helper)
	}
	path, err := exec.LookPath(name) // never the working directory's
	if err != nil {
		return nil, &missingError{name}
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	var output, complaint limited
	command := exec.CommandContext(ctx, path, verb)
	command.Stdin = bytes.NewReader(input)
	command.Stdout, command.Stderr = &output, &complaint
	command.WaitDelay = time.Second // for what it leaves behind with its output in hand
	if !inForeground() {
		withAllItStarts(command)
	}
	err = command.Run()
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return nil, fmt.Errorf("%s %s: no answer within %v", name, verb, helperTime)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s %s: %w", name, verb, context.Cause(ctx))
	case err == nil && output.full:
		return nil, fmt.Errorf("%s %s: an answer of more than %d MiB", name, verb, maxAnswer>>20)
	case err == nil:
		return output.Bytes(), nil
	}
	said := firstLine(output.String())
	if said == errNone.Error() {
		return nil, errNone
	}
	if said == "" {
		said = firstLine(complaint.String())
	}
	if said == "" {
		said = err.Error()
	}
	return nil, fmt.Errorf("%s %s: %s", name, verb, said)
}

// withAllItStarts has the context end not only the helper, most of which are scripts.
func withAllItStarts(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}

// inForeground says that this process may ask at the terminal. So may its helper
// then, which in a process group of its own would be stopped as soon as it did
// (tcsetattr(3), SIGTTOU); and there Ctrl-C reaches all of the group by itself.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// firstLine is what an error has room for.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s[:min(len(s), 200)]
}

// missingError is a helper that a file names and nobody installed.
type missingError struct{ name string }

func (e *missingError) Error() string { return e.name + " is not in PATH" }

// limited keeps the first bytes of what is written to it, and takes the rest.
type limited struct {
	bytes.Buffer
	full bool
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	room := maxAnswer - l.Len()
	if len(p) > room {
		l.full = true
		l.Buffer.Write(p[:room])
		return len(p), nil
	}
	return l.Buffer.Write(p)
}
