// Package cli is the command line: Docker's verbs and flags, the only printer,
// and the exit codes. It runs as the user, in the host's user namespace, and as
// the worker stage (worker.go) in one of its own. What a command does is done by
// sandbox, pull, fuseoverlay, userns and slirp; here it is asked for and shown.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"
)

// grammar is the command line, one field a command.
type grammar struct {
	Run     runCmd     `cmd:"" help:"Create and run a container from an image."`
	Pull    pullCmd    `cmd:"" help:"Fetch an image from a registry."`
	Ps      psCmd      `cmd:"" help:"List containers."`
	Logs    logsCmd    `cmd:"" help:"Show what a container wrote."`
	Rm      rmCmd      `cmd:"" help:"Remove containers."`
	Images  imagesCmd  `cmd:"" help:"List images."`
	Rmi     rmiCmd     `cmd:"" help:"Remove images."`
	Info    infoCmd    `cmd:"" help:"Show what this host gives, and what was chosen."`
	Version versionCmd `cmd:"" help:"Show the version."`

	Container containerNoun `cmd:"" help:"Manage containers."`
	Image     imageNoun     `cmd:"" help:"Manage images."`

	StorageDriver string `name:"storage-driver" env:"ROOTLET_STORAGE_DRIVER" placeholder:"DRIVER" help:"native, fuse-overlayfs or copy; the best that works here if not given."`
}

// containerNoun and imageNoun hold the same commands under their nouns.
type containerNoun struct {
	Run  runCmd  `cmd:"" help:"Create and run a container from an image."`
	Ls   psCmd   `cmd:"" aliases:"list,ps" help:"List containers."`
	Logs logsCmd `cmd:"" help:"Show what a container wrote."`
	Rm   rmCmd   `cmd:"" aliases:"remove" help:"Remove containers."`
}

type imageNoun struct {
	Pull pullCmd   `cmd:"" help:"Fetch an image from a registry."`
	Ls   imagesCmd `cmd:"" aliases:"list" help:"List images."`
	Rm   rmiCmd    `cmd:"" aliases:"remove" help:"Remove images."`
}

// app is what every command works with.
type app struct {
	began  time.Time
	stdin  *os.File
	stdout io.Writer
	*printer
	storageDriver string
}

// Main parses the arguments, runs the command and returns the exit status.
func Main(args []string) int {
	a := &app{began: time.Now(), stdin: os.Stdin, stdout: os.Stdout, printer: &printer{out: os.Stderr}}
	return a.exit(a.run(args))
}

func (a *app) run(args []string) error {
	var g grammar
	helped := false
	parser, err := kong.New(&g,
		kong.Name("rootlet"),
		kong.Description("Containers without root and without a daemon. Docker's commands, in one file."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(a.stdout, a.out),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	context, err := parser.Parse(separated(parser.Model.Node, args))
	if helped {
		return nil
	}
	if err != nil {
		return usage(err)
	}
	a.storageDriver = g.StorageDriver
	return context.Run(a)
}

// usageError is a command line that makes no sense; Docker answers any of them
// with 125.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint says where the flags are explained.
func (e *usageError) Hint() string { return fmt.Sprintf("see `%s --help`", e.command) }

func usage(err error) error {
	e := &usageError{err: err, command: "rootlet"}
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			e.command += " " + node.Path()
		}
	}
	return e
}
