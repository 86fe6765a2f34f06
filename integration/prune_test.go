package integration

import "testing"

// At a terminal, a prune asks; only y is a yes.
func TestPruneAsks(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("run", "--name", "ended", image, "true")
	term := newTerminal(p)
	for _, answer := range []string{"n", "", "yesterday"} {
		term.types("clear; rootlet container prune; echo code $?")
		term.shows(`^WARNING! This will remove all stopped containers.\nAre you sure you want to continue\? \[y/N\] *$`)
		term.types(answer)
		term.shows(`^code 0$`)
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
	term.shows(`^\$ *$`) // what is typed sooner stands above the prompt, and the output behind it
	term.types("echo code $?")
	term.shows(`^code 130$`)
}
