package integration

import (
	"strings"
	"testing"
)

func TestExecAtATerminal(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("run", "-d", "--name", "box", image, "sleep", "1000")
	t.Cleanup(func() { p.try("rm", "-f", "box") })
	term := newTerminal(p)
	term.types("stty -g >$HOME/before; clear; rootlet exec -it box sh -c 'PS1=\"in> \" exec sh'")
	term.shows(`^in>`)

	// A terminal of the container's own, as large as the window.
	term.types("tty; stty size; test -e $(tty) && echo there")
	term.shows(`^/dev/pts/0$`)
	term.shows(`^30 100$`)
	term.shows(`^there$`)
	term.tmux("resize-window", "-x", "90", "-y", "25")
	term.types("sleep 0.2; clear; stty size")
	term.shows(`^25 90$`)

	// Ctrl-C ends what runs in the foreground, Ctrl-Z stops it, and neither the shell.
	runs := func(program string) func() bool {
		return func() bool { return strings.Contains(p.rootlet("top", "box"), program) }
	}
	term.types("sleep 60; echo interrupted: $?")
	until(t, "it sleeps", runs("sleep 60")) // before, the shell would read the keys
	term.keys("C-c")
	term.shows(`^in> *$`)
	term.types("echo still $((40+2)) here")
	term.shows(`^still 42 here$`)
	term.types("sleep 61")
	until(t, "it sleeps again", runs("sleep 61"))
	term.keys("C-z")
	term.shows(`^in> *$`)
	term.types("jobs")
	term.shows(`Stopped +sleep 61$`)

	// The exit code is the program's, and the terminal as it was.
	term.types("kill -KILL %1; sleep 0.2; clear; exit 7")
	term.asks()
	term.types("echo code $?; stty -g >$HOME/after; cmp $HOME/before $HOME/after && echo as it was")
	term.shows(`^code 7$`)
	term.shows(`^as it was$`)

	// The detach keys leave it running, with nobody to read what it writes.
	term.types("clear; rootlet exec -it box sh -c 'echo begun; sleep 1; yes | head -c 200000; touch /tmp/done; sleep 62'")
	term.shows(`^begun`)
	term.keys("C-p", "C-q")
	term.shows(`\$ *$`)
	term.types("clear; echo left $?")
	term.shows(`^left 0$`)
	until(t, "the program went on", func() bool {
		_, _, code := p.try("exec", "box", "test", "-e", "/tmp/done")
		return code == 0
	})
	if !runs("sleep 62")() {
		t.Error("it was hung up")
	}

	// A terminal that is closed hangs the program up, and nothing else.
	term.types("clear; rootlet exec -it box sh -c 'echo begun again; exec sleep 63'")
	term.shows(`^begun again`)
	term.tmux("kill-session")
	until(t, "it was hung up", func() bool { return !runs("sleep 63")() })
	p.rootlet("rm", "-f", "box")
}
