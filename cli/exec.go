package cli

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// You come here from main.go and cli.go. Next is sandbox/target.go, then
// sandbox/exec.go.

// execCmd is `rootlet exec`. It starts no worker: the user may join his own
// containers, and it works whatever the container's monitor is doing.
type execCmd struct {
	Detach      bool     `name:"detach" short:"d" help:"Return once the command runs."`
	DetachKeys  string   `name:"detach-keys" default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that leave the command running."`
	Env         []string `name:"env" short:"e" sep:"none" placeholder:"KEY[=VALUE]" help:"Set a variable; without a value, as it is here."`
	EnvFile     []string `name:"env-file" sep:"none" placeholder:"FILE" help:"Read variables from a file."`
	Interactive bool     `name:"interactive" short:"i" help:"Keep standard input open."`
	Privileged  bool     `name:"privileged" help:"Every capability over the container."`
	TTY         bool     `name:"tty" short:"t" help:"Give the command a terminal."`
	User        string   `name:"user" short:"u" placeholder:"USER[:GROUP]" help:"Run as this user, by name or number."`
	WorkDir     string   `name:"workdir" short:"w" placeholder:"DIR" help:"Working directory inside."`
	Container   string   `arg:"" help:"Name or id."`
	Command     []string `arg:"" passthrough:"" help:"Command and its arguments."`
}

// Run starts the command. The exit status is the command's.
func (c *execCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	r := sandbox.ExecRequest{
		Args: c.Command, WorkDir: c.WorkDir, User: c.User, Privileged: c.Privileged, TTY: c.TTY,
	}
	if r.Env, err = environment(c.EnvFile, c.Env); err != nil {
		return err
	}
	if c.TTY && c.Interactive && !c.Detach && !term.IsTerminal(int(a.stdin.Fd())) {
		return errors.New("-i and -t together need standard input to be a terminal")
	}
	r.Size = sandbox.TerminalSize(a.stdin)
	root := record.Root(paths.Data)
	id, err := root.Find(c.Container)
	if err != nil {
		return err
	}
	target, err := sandbox.OpenTarget(root, id, c.Container)
	if err != nil {
		return err
	}
	defer target.Close()
	if c.Detach {
		r.TTY = false
		return target.ExecDetached(paths.Data, r)
	}
	a.catchSignalsSoon()
	streams := sandbox.Streams{Stdin: a.stdin, Stdout: a.stdout, Stderr: os.Stderr, Signals: a.signals}
	if streams.DetachKeys, err = sandbox.ParseDetachKeys(c.DetachKeys); err != nil {
		return err
	}
	status, err := target.Exec(paths.Data, r, streams, c.Interactive)
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	return exitStatus(status)
}
