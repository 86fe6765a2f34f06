package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"rootlet/internal/need"
	"rootlet/sandbox"
)

// printer is the only one who writes to standard error. Results go to standard
// output, by the commands.
type printer struct {
	mu    sync.Mutex
	out   io.Writer
	quiet bool
	clear func() // takes progress bars off the screen, where there are any
}

// notice prints what the user should know and need not act on.
func (p *printer) notice(text string) {
	if !p.quiet {
		p.line("rootlet: notice: ", text)
	}
}

// errorPrefix begins the line of an error.
const errorPrefix = "rootlet: error: "

// failed prints an error, and what to type where something helps.
func (p *printer) failed(err error) {
	p.line(errorPrefix, err.Error())
	text, name := "", need.Of(err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		text = hinted.Hint()
	} else if name == "" {
		text, name = need.Answer(err)
	}
	for hint := range strings.Lines(text) {
		p.line("rootlet: hint: ", hint)
	}
	if name != "" {
		p.line("rootlet: hint: ", need.See(name))
	}
}

// maxLine is where a line is cut, in bytes: an image may have put a text of
// megabytes into it.
const maxLine = 2000

// line prints one line. What an image, a registry or a container had a say in
// may hold control characters, which must not reach the terminal.
func (p *printer) line(prefix, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clear != nil {
		p.clear()
	}
	text = strings.TrimSpace(text)
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "..."
	}
	fmt.Fprintf(p.out, "%s%s\n", prefix, printable(text))
}

// printable escapes what is not to be seen: control characters, and those by
// which text claims to be other than it is, such as the marks that turn the
// direction of writing.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// Exit codes that are not a container's own: Docker's.
const (
	ExitError  = 1   // a command failed
	ExitEngine = 125 // run, or a wrong flag anywhere
	exitFormat = 64  // a --format that cannot be read
	exitSignal = 128 // plus the number of the signal that ended the command
)

// exitStatus is the error of a command that has nothing to print: a container's
// program ended so, or what went wrong was printed already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// engineError is a failure of run, create or start, which exit with 125 where
// other commands exit with 1.
type engineError struct{ err error }

func (e *engineError) Error() string { return e.err.Error() }
func (e *engineError) Unwrap() error { return e.err }

// exit prints an error and turns it into the exit status of the process. There
// is no other place that does.
func (p *printer) exit(err error) int {
	var (
		status      exitStatus
		interrupted *interruptedError
		engine      *engineError
		badUsage    *usageError
		failure     *sandbox.Failure
		badFormat   *formatError
	)
	if err == nil {
		return 0
	}
	if errors.As(err, &status) {
		return int(status)
	}
	p.failed(err)
	switch {
	case errors.As(err, &interrupted):
		return exitSignal + int(interrupted.signal)
	case errors.As(err, &engine), errors.As(err, &badUsage):
		return ExitEngine
	case errors.As(err, &failure):
		return failure.Code
	case errors.As(err, &badFormat):
		return exitFormat
	}
	return ExitError
}
