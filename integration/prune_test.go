package integration

import (
	"fmt"
	"testing"

	"rootlet/internal/testenv"
)

// At a terminal, a prune asks; only y is a yes.
func TestPruneAsks(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	p.rootlet("run", "--name", "ended", image, "true")
	term := newTerminal(p)
	for i, answer := range []string{"n", "", "yesterday"} {
		term.types(fmt.Sprint("clear; echo ", i, "; rootlet container prune; echo code $?"))
		term.shows(fmt.Sprint("^", i) + `\nWARNING! This will remove all stopped containers.\nAre you sure you want to continue\? \[y/N\] *$`)
		term.types(answer)
		term.shows(`^code 0$`)
		term.asks()
	}
	term.types("clear; rootlet ps -aq | wc -l")
	term.shows(`^1$`)
	term.types("clear; rootlet container prune; echo code $?")
	term.shows(`\[y/N\]`)
	term.types("Y")
	term.shows(`^Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: .*B\ncode 0$`)
	term.types("clear; echo again; rootlet container prune")
	term.shows(`^again\nWARNING(.*\n)*.*\[y/N\]`)
	term.keys("C-c")
	term.asks()
	term.types("echo code $?")
	term.shows(`^code 130$`)
}
