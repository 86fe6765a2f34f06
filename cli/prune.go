package cli

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/term"

	"rootlet/sandbox/record"
)

// You come here from a command that removes what nobody names: container, image,
// volume and system prune. It asks before, and sums up after.

// errDeclined is the error of a user who was asked and did not say yes. It ends
// the command with nothing said and 0, as Docker's.
const errDeclined = exitStatus(0)

// confirm asks the user whether to go on, after a warning of what will happen;
// errDeclined is his no. force (-f) is his yes. Where standard input is no
// terminal nobody is asked, and nothing happens.
func (a *app) confirm(force bool, warning string) error {
	if force {
		return nil
	}
	if !term.IsTerminal(int(a.stdin.Fd())) {
		return &unaskedError{}
	}
	fmt.Fprintf(a.out, "%s\nAre you sure you want to continue? [y/N] ", warning)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.out) // the end of input left the cursor behind the question
	}
	if strings.EqualFold(strings.TrimSpace(answer), "y") {
		return nil
	}
	return errDeclined
}

// unaskedError is a question that there is nobody to answer.
type unaskedError struct{}

func (*unaskedError) Error() string { return "not confirmed: standard input is no terminal" }

// Hint says how to answer beforehand.
func (*unaskedError) Hint() string { return "-f removes without asking" }

// printDeleted lists what is gone under Docker's title, as "Deleted Containers:".
func (a *app) printDeleted(title string, gone []string) error {
	if len(gone) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "%s\n%s\n\n", title, printableLines(gone))
	return err
}

func printableLines(all []string) string {
	var shown []string
	for _, s := range all {
		shown = append(shown, printable(s))
	}
	return strings.Join(shown, "\n")
}

// printReclaimed is the last line of every prune.
func (a *app) printReclaimed(bytes int64) error {
	_, err := fmt.Fprintln(a.stdout, "Total reclaimed space: "+units.HumanSize(float64(bytes)))
	return err
}

// knownContainers lists the containers for a prune of what they do not have. A
// record that tells neither image nor volumes may stand for a container that
// needs any of them: then nothing is removed that nobody named.
func knownContainers(root record.Root) ([]record.Entry, error) {
	entries, err := root.List()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Err != nil && e.Spec.ImageID == "" {
			return nil, &unknownNeedsError{e}
		}
	}
	return entries, nil
}

// unknownNeedsError refuses a prune beside a container whose record is damaged.
type unknownNeedsError struct{ record.Entry }

func (e *unknownNeedsError) Error() string {
	return fmt.Sprintf("what container %s needs is not known: %v", shortID(e.ID, false), e.Err)
}

// Hint says what to type.
func (e *unknownNeedsError) Hint() string {
	return fmt.Sprintf("if it is not worth mending, remove it first: `rootlet rm %s`", shortID(e.ID, false))
}
