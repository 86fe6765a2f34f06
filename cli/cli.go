// Package cli is the command line: Docker's verbs and flags, the only printer,
// and the exit codes. It runs as the user, in the host's user namespace, and as
// the worker stage (worker.go) in one of its own. What a command does is done by
// sandbox, pull, fuseoverlay, userns and slirp; here it is asked for and shown.
package cli

import (
	"io"
	"os"
	"time"

	"rootlet/internal/linux"
	"rootlet/sandbox"
)

// app is what every command works with.
type app struct {
	began  time.Time
	stdin  *os.File
	stdout io.Writer
	*printer
	storageDriver string
	layersDir     string         // where layers are to be, empty: as it was decided, or is
	stores        stores         // images of others
	config        config         // the user's own
	configErr     error          // why it was not read, where that ends nothing
	spare         *sandbox.Spare // a monitor that loads while we read, for run
	signals       chan os.Signal // the user's, once they are caught: see catchSignals
}

// Main parses the arguments, runs the command and returns the exit status.
func Main(args []string) int {
	// What the shell has open is for this process: a monitor would keep it for as long
	// as its container lives. Where this fails, that is what happens.
	_ = linux.CloseOnExecFrom(3)
	a := &app{began: time.Now(), stdin: os.Stdin, stdout: os.Stdout, printer: &printer{out: os.Stderr}}
	if err := roomForThreads(); err != nil {
		return a.exit(&engineError{err})
	}
	return a.exit(a.run(args))
}

// run finds the command, has its arguments parsed, and runs it. Of the whole
// grammar only this one command's is built, which is three quarters of the time
// that all this would take.
func (a *app) run(args []string) error {
	if len(args) > 0 && args[0] == completeName {
		return a.answerShell(args[1:])
	}
	chosen, err := choose(commands(), args)
	if err != nil {
		return err
	}
	if chosen.storageDriver != "" {
		a.storageDriver = chosen.storageDriver
	}
	a.layersDir = chosen.layersDir
	if chosen.version {
		return printShortVersion(a.stdout)
	}
	if chosen.form == nil {
		return chosen.list(a.stdout)
	}
	return chosen.run(a)
}
