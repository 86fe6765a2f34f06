package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/userns"
)

// You come here from main.go and cli.go. Next is sandbox/run.go.

// runCmd is `rootlet run`.
type runCmd struct {
	runFlags
	Image   string   `arg:"" help:"Image to run: a name, or an id."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments, instead of the image's."`
}

// Run starts a container and stays with it. The exit status is the program's.
func (c *runCmd) Run(a *app) error {
	a.quiet = c.Quiet
	request, err := c.request(a)
	if err != nil {
		return &engineError{err}
	}
	plan, err := a.plan(request.Paths)
	if err != nil {
		return &engineError{err}
	}
	request.Host = sandbox.Host{UID: os.Getuid(), GID: os.Getgid(), IDMode: string(plan.Method), Start: a.began}
	if request.HelloID, err = helloID(c.Image); err != nil {
		return &engineError{err}
	}
	if err := c.pullFirst(a, plan, request); err != nil {
		return &engineError{err}
	}
	err = c.start(a, plan, request)
	if !errors.Is(err, fuseoverlay.ErrNoImage) || c.Pull == pullNever {
		return err
	}
	if request.HelloID == "" {
		a.notice(fmt.Sprintf("unable to find image %q locally, pulling it", c.Image))
	}
	if err := c.pull(a, plan, request); err != nil {
		return &engineError{err}
	}
	return c.start(a, plan, request)
}

// start runs the container. A monitor's failure says itself what to exit with.
func (c *runCmd) start(a *app, plan *userns.Plan, r sandbox.Request) error {
	streams := sandbox.Streams{
		Stdin: a.stdin, Stdout: a.stdout, Stderr: os.Stderr,
		Signals: a.signals, Notice: a.notice, Created: c.writeCIDFile,
	}
	spare := a.spare
	a.spare = nil
	status, err := sandbox.Run(plan, r, streams, spare)
	var failure *sandbox.Failure
	switch {
	case err == nil:
		return exitStatus(status)
	case errors.As(err, &failure):
		return err
	}
	return &engineError{err}
}

// pullFirst fetches the image before it is looked for, where --pull says so.
func (c *runCmd) pullFirst(a *app, plan *userns.Plan, r sandbox.Request) error {
	if r.HelloID != "" || (c.Pull != pullAlways && c.Pull != pullNewer) {
		return nil
	}
	err := c.pull(a, plan, r)
	var interrupted *interruptedError
	if c.Pull == pullNewer && err != nil && !errors.As(err, &interrupted) {
		// Podman's word: an error is none where there is an image already.
		a.notice(fmt.Sprintf("using the local image, if there is one: %v", err))
		return nil
	}
	return err
}

func (c *runCmd) pull(a *app, plan *userns.Plan, r sandbox.Request) error {
	if r.HelloID != "" {
		return installHello(a, plan, r.Paths)
	}
	_, err := fetch(a, plan, r.Paths, pullWork{Ref: c.Image, Platform: c.Platform, TLSVerify: c.TLSVerify}, c.Quiet)
	return err
}

// writeCIDFile is --cidfile.
func (c *runCmd) writeCIDFile(id string) error {
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
		return "", err
	}
	return ref.Name(), nil
}
