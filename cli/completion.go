package cli

import (
	"embed"
	"fmt"
)

// completionCmd is `rootlet completion`.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

//go:embed completion
var completionScripts embed.FS

// Run prints a script for the shell. The script knows nothing of rootlet's
// grammar: it asks rootlet (answerShell) for every word.
func (c *completionCmd) Run(a *app) error {
	text, err := completionScripts.ReadFile("completion/rootlet." + c.Shell)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(text)
	return err
}

// completeName is the hidden command that the shells' scripts call. It is none of
// commands: what follows it are words of another command line, half typed.
const completeName = "__complete"

// answerShell prints what the last of the words may become: a candidate a line,
// and a line with a colon for what the shell should do besides. What is wrong
// with the words before, or with the store, is nothing to tell someone who is
// still typing.
func (a *app) answerShell(words []string) error {
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	answer := completer{app: a}
	answer.complete(words[:len(words)-1], words[len(words)-1])
	for _, line := range answer.lines {
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}
