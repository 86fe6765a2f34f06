package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"rootlet/fuseoverlay"
	"rootlet/internal/need"
	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/userns"
)

// You come here from main.go and cli.go. Next is sandbox/run.go.

// runCmd is `rootlet run`.
type runCmd struct {
	newContainer
	Attach     []string `name:"attach" short:"a" sep:"none" placeholder:"STREAM" help:"Attach only to stdin, stdout or stderr."`
	Detach     bool     `name:"detach" short:"d" help:"Leave it running, and print its id."`
	DetachKeys string   `name:"detach-keys" default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that leave the container running."`
	SigProxy   bool     `name:"sig-proxy" default:"true" help:"Pass signals on to the program."`
}

// Run starts a container and stays with it. The exit status is the program's.
func (c *runCmd) Run(a *app) error {
	a.quiet = c.Quiet
	request, err := c.request(a)
	if err != nil {
		return &engineError{err}
	}
	streams := a.streams(c.SigProxy)
	if streams.DetachKeys, err = sandbox.ParseDetachKeys(c.DetachKeys); err != nil {
		return &engineError{err}
	}
	if err := c.chooseStreams(&request, &streams); err != nil {
		return &engineError{err}
	}
	if request.Attach.Stdin && c.TTY && !term.IsTerminal(int(a.stdin.Fd())) {
		return &engineError{errors.New("-i and -t together need standard input to be a terminal")}
	}
	return c.begin(a, request, streams)
}

// chooseStreams says what the user is connected to: all, nothing with -d, or what
// he names.
func (c *runCmd) chooseStreams(r *sandbox.Request, s *sandbox.Streams) error {
	r.Spec.Detached = c.Detach
	if c.Detach && len(c.Attach) > 0 {
		return errors.New("conflicting options: cannot specify both --attach and --detach")
	}
	if c.Detach {
		return nil
	}
	r.Attach = sandbox.Attach{Stdin: c.Interactive, Output: true}
	if len(c.Attach) == 0 {
		return nil
	}
	for _, stream := range c.Attach {
		switch strings.ToLower(stream) {
		case "stdin", "stdout", "stderr":
		default:
			return fmt.Errorf("invalid --attach %q: valid streams are STDIN, STDOUT and STDERR", stream)
		}
	}
	named := func(stream string) bool {
		return slices.ContainsFunc(c.Attach, func(a string) bool { return strings.EqualFold(a, stream) })
	}
	r.Attach.Stdin = c.Interactive && named("stdin")
	if !named("stdout") {
		s.Stdout = io.Discard
	}
	if !named("stderr") {
		s.Stderr = io.Discard
	}
	return nil
}

// begin makes a container and starts it or leaves it, as the request says; it
// prints the id of one that nobody stays with.
func (c *newContainer) begin(a *app, r sandbox.Request, s sandbox.Streams) error {
	plan, err := a.plan(r.Paths)
	if err == nil {
		r.Paths, err = a.settle(plan, r.Paths)
	}
	if err != nil {
		return &engineError{err}
	}
	r.Host = a.host(plan)
	var id string
	s.Created = func(given string) error {
		id = given
		return c.writeCIDFile(given)
	}
	status, err := c.withImage(a, plan, r, s)
	if err != nil {
		return err
	}
	if r.Attach == (sandbox.Attach{}) {
		_, err := fmt.Fprintln(a.stdout, id)
		return err
	}
	return exitStatus(status)
}

// withImage runs a request, pulling the image where it is not here.
func (c *newContainer) withImage(a *app, plan *userns.Plan, r sandbox.Request, s sandbox.Streams) (int, error) {
	pulled, err := c.pullFirst(a, plan, &r)
	if err != nil {
		return ExitEngine, &engineError{err}
	}
	if !pulled {
		if err := a.adopt(plan, r.Paths, r.ImageName, c.Platform, c.Quiet); err != nil {
			return ExitEngine, &engineError{err}
		}
	}
	status, err := a.sandbox(plan, r, s)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		// Only now: few names are aliases, and registries.conf takes its time.
		if name, here := a.storedAlias(a.view(r.Paths), c.Image); here && name != r.ImageName {
			r.ImageName = name
			if err := a.adopt(plan, r.Paths, name, c.Platform, c.Quiet); err != nil {
				return ExitEngine, &engineError{err}
			}
			status, err = a.sandbox(plan, r, s)
		}
	}
	if !errors.Is(err, fuseoverlay.ErrNoImage) || c.Pull == pullNever {
		return status, err
	}
	_, missing := view(r.Paths).Find(r.ImageName)
	switch other := missing == nil && c.Platform != ""; {
	case other && pulled:
		return status, err // another pull would bring the same
	case other:
		a.notice(fmt.Sprintf("image %q is here for another platform, pulling it for %s", c.Image, c.Platform))
	case r.HelloID == "":
		a.notice(fmt.Sprintf("unable to find image %q locally, pulling it", c.Image))
	}
	if err := c.pull(a, plan, &r); err != nil {
		return ExitEngine, &engineError{err}
	}
	return a.sandbox(plan, r, s)
}

// streams are those of the user's shell.
func (a *app) streams(sigProxy bool) sandbox.Streams {
	return sandbox.Streams{
		Stdin: a.stdin, Stdout: a.stdout, Stderr: os.Stderr, Notice: a.notice,
		Signals: a.signals, KeepSignals: !sigProxy,
	}
}

// host is what a monitor is told of us.
func (a *app) host(plan *userns.Plan) sandbox.Host {
	return sandbox.Host{UID: os.Getuid(), GID: os.Getgid(), IDMode: string(plan.Method), Start: a.began}
}

// sandbox has a monitor do a request. Its failure says itself what to exit with.
func (a *app) sandbox(plan *userns.Plan, r sandbox.Request, s sandbox.Streams) (int, error) {
	if err := a.refill(plan, r); err != nil {
		return ExitEngine, &engineError{err}
	}
	spare := a.spare
	a.spare = nil
	status, err := sandbox.Run(plan, r, s, spare)
	var failure *sandbox.Failure
	if err == nil || errors.As(err, &failure) {
		return status, err
	}
	return status, &engineError{err}
}

// pullFirst fetches the image before it is looked for, where --pull says so, and
// reports whether it did.
func (c *newContainer) pullFirst(a *app, plan *userns.Plan, r *sandbox.Request) (bool, error) {
	if r.HelloID != "" || (c.Pull != pullAlways && c.Pull != pullNewer) {
		return false, nil
	}
	err := c.pull(a, plan, r)
	var interrupted *interruptedError
	if c.Pull == pullNewer && err != nil && !errors.As(err, &interrupted) {
		// Podman's word: an error is none where there is an image already.
		a.notice(fmt.Sprintf("using the local image, if there is one: %v", err))
		return false, nil
	}
	return err == nil, err
}

// pull fetches the image, and has the request name the one that came.
func (c *newContainer) pull(a *app, plan *userns.Plan, r *sandbox.Request) error {
	if r.HelloID != "" {
		return installHello(a, plan, r.Paths)
	}
	sources, err := a.sources(c.Image, c.TLSVerify)
	if err != nil {
		return err
	}
	result, err := fetch(a, plan, r.Paths, pullWork{Sources: sources, Platform: c.Platform}, c.Quiet)
	if err == nil {
		r.ImageName = result.Name
	}
	return err
}

// writeCIDFile is --cidfile.
func (c *newContainer) writeCIDFile(id string) error {
	if c.CIDFile == "" {
		return nil
	}
	f, err := os.OpenFile(c.CIDFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("--cidfile: %w", err)
	}
	_, err = f.WriteString(id)
	return errors.Join(err, f.Close())
}

// place is where a command that has a worker do something works: the user's
// directories, and the ids that he has.
func (a *app) place() (sandbox.Paths, *userns.Plan, error) {
	paths, err := findPaths()
	if err != nil {
		return paths, nil, err
	}
	plan, err := a.plan(paths)
	if err != nil {
		return paths, nil, err
	}
	paths, err = a.settle(plan, paths)
	return paths, plan, err
}

// plan says which ids the caller has, and tells him once a day what fewer cost.
func (a *app) plan(paths sandbox.Paths) (*userns.Plan, error) {
	plan, err := userns.NewPlan()
	if err != nil {
		return nil, err
	}
	if text := plan.Notice(); text != "" && !a.quiet && plan.NoticeDue(filepath.Join(paths.Data, "notices"), a.began) {
		a.notice(text)
		for _, line := range plan.Fix {
			a.line("rootlet: hint: ", line)
		}
		a.line("rootlet: hint: ", need.See(need.IDs))
	}
	return plan, nil
}

// imageName is the full name of an image as the user wrote it.
func imageName(given string) (string, error) {
	if given == helloName {
		return helloFullName, nil
	}
	ref, err := pull.ParseReference(given)
	if err != nil {
		return "", noName(given, err)
	}
	return ref.Name(), nil
}
