package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"rootlet/sandbox"
)

// printer is the only one who writes to standard error. Results go to standard
// output, by the commands.
type printer struct {
	mu    sync.Mutex
	out   io.Writer
	quiet bool
}

// notice prints what the user should know and need not act on.
func (p *printer) notice(text string) {
	if !p.quiet {
		p.line("rootlet: notice: ", text)
	}
}

// failed prints an error, and what to type where something helps.
func (p *printer) failed(err error) {
	p.line("rootlet: error: ", err.Error())
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		for hint := range strings.Lines(hinted.Hint()) {
			p.line("rootlet: hint: ", hint)
		}
	}
}

// line prints one line. What an image, a registry or a container had a say in
// may hold control characters, which must not reach the terminal.
func (p *printer) line(prefix, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s%s\n", prefix, printable(strings.TrimSpace(text)))
}

// printable escapes control characters.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Exit codes that are not a container's own: Docker's.
const (
	ExitError  = 1   // a command failed
	ExitEngine = 125 // run, or a wrong flag anywhere
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
		status   exitStatus
		failure  *sandbox.Failure
		engine   *engineError
		badUsage *usageError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	p.failed(err)
	switch {
	case errors.As(err, &failure):
		return failure.Code
	case errors.As(err, &engine), errors.As(err, &badUsage):
		return ExitEngine
	}
	return ExitError
}
