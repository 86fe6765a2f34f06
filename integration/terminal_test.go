package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// terminal is a tmux with one window, in which a person's shell runs.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(p *person) *terminal {
	p.t.Helper()
	testenv.NeedProgram(p.t, "tmux")
	runtime := p.runtime()
	dir, err := os.MkdirTemp(runtime, "t") // a short name: a socket's may have 107 bytes
	if err != nil {
		p.t.Fatal(err)
	}
	term := &terminal{p.t, filepath.Join(dir, "tmux")}
	start := exec.Command("tmux", "-f", "/dev/null", "-S", term.socket, "new-session", "-d", "-x", "100", "-y", "30", "env PS1='$ ' sh")
	start.Env = append(p.env, "TERM=xterm", "LANG=C.UTF-8")
	if output, err := start.CombinedOutput(); err != nil {
		p.t.Fatalf("tmux: %v\n%s", err, output)
	}
	p.t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() })
	term.asks()
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	output, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v\n%s", args[0], err, output)
	}
	return string(output)
}

func (term *terminal) types(line string) {
	if head, ok := strings.CutSuffix(line, ";"); ok {
		line = head + `\;` // or it would end tmux's own command
	}
	term.tmux("send-keys", line, "Enter")
}

func (term *terminal) keys(names ...string) { term.tmux(append([]string{"send-keys"}, names...)...) }

// asks waits for the shell's prompt on a line of its own. What is typed before, the
// terminal echoes above it, and the first line of output then stands behind it; or
// a program that is about to end reads it.
func (term *terminal) asks() {
	term.t.Helper()
	term.shows(`^\$ *$`)
}

// shows waits until the screen matches; what was there before must not.
func (term *terminal) shows(pattern string) {
	term.t.Helper()
	screen, re := "", regexp.MustCompile("(?m)"+pattern)
	defer func() {
		if term.t.Failed() {
			term.t.Logf("the screen:\n%s", screen)
		}
	}()
	until(term.t, pattern, func() bool {
		screen = term.tmux("capture-pane", "-p")
		return re.MatchString(screen)
	})
}

func TestTerminal(t *testing.T) {
	p, image := someone(t, "busybox")
	term := newTerminal(p)
	term.types("rootlet run --rm -it --name box --hostname inside " + image + " sh -c 'PS1=\"in> \" exec sh'")
	term.shows(`^in>`)

	// Its size is the window's, also when that changes.
	term.types("tty; stty size")
	term.shows(`^/dev/(pts/0|console)$`)
	term.shows(`^30 100$`)
	term.tmux("resize-window", "-x", "90", "-y", "25")
	term.types("sleep 0.2; clear; stty size")
	term.shows(`^25 90$`)

	// Keys are the program's: Ctrl-C ends what runs in the foreground, not the shell.
	term.types("sleep 60; echo interrupted: $?")
	until(t, "it sleeps", func() bool { return strings.Contains(p.rootlet("top", "box"), "sleep 60") })
	term.keys("C-c")
	term.shows(`^in> *$`)
	term.types("echo still $((40+2)) here")
	term.shows(`^still 42 here$`)

	// On the way out the code arrives and the host's terminal is as it was.
	term.types("exit 7")
	term.shows(`^\$$`)
	term.types("clear; echo code $?; stty -a | grep -o ' echo ' | wc -l")
	term.shows(`^1$`)
	term.types("rootlet run --rm -it " + image + " sh -c 'exit 8'; echo code $?")
	term.shows(`^code 8$`)
	term.types("clear; echo typed is seen")
	term.shows(`^\$ clear; echo typed is seen|^typed is seen$`)
}

// A terminal that is closed leaves the container running, as with Docker, and
// rm -f ends it with all that belongs to it.
func TestTerminalIsClosed(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	term := newTerminal(p)
	term.types("rootlet run --name lonely -it " + image + " sh -c 'echo it is up; exec sleep 1000'")
	term.shows(`^it is up$`)
	term.tmux("kill-session")
	p.rootlet("rm", "-f", "lonely")
}

// A program that dies of a signal, or never starts, gives the terminal back, too.
func TestTerminalIsRestored(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	term := newTerminal(p)
	term.types("stty -a >$HOME/before; clear")
	for i, program := range []string{"sh -c 'kill -KILL $$'", "no-such-program", "sh -c 'stty raw -echo; exit 3'"} {
		term.types(fmt.Sprint("rootlet run --rm -it --init ", image, " ", program, "; stty -a >$HOME/after; clear; cmp $HOME/before $HOME/after && echo as it w''as ", i))
		term.shows(fmt.Sprint(`^as it was `, i, `$`))
	}

	// Ctrl-C while it pulls, or starts, or has just begun; before, an interactive
	// shell between fork and execve would swallow it.
	term.types("clear; sh -c 'echo it be\"\"gins; exec rootlet run --rm -it --init --pull always " + image + " sleep 60'")
	term.shows(`^it begins$`)
	term.keys("C-c")
	term.asks()
	term.types("stty -a >$HOME/after; clear; cmp $HOME/before $HOME/after && echo and again")
	term.shows(`^and again$`)
}

// TestDetach leaves a program by the detach keys and comes back to it, from two
// terminals at once.
func TestDetach(t *testing.T) {
	testenv.Whoever(t)
	p, image := someone(t, "busybox")
	first, second := newTerminal(p), newTerminal(p)
	first.types("rootlet run -it --name shell " + image + " sh -c 'PS1=\"in> \" exec sh'")
	first.shows(`^in>`)
	second.types("rootlet attach shell")
	second.keys("Enter")
	second.shows(`^in>`)

	// What is typed at one is seen at the other.
	first.types("echo from the $((1))st")
	second.shows(`^from the 1st$`)
	second.types("echo from the $((2))nd")
	first.shows(`^from the 2nd$`)

	// One leaves, with its terminal as it was; then the other, and it runs still.
	first.keys("C-p", "C-q")
	first.shows(`^in> \$ *$`)
	first.types("clear; echo code $?; stty -a | grep -o ' echo ' | wc -l")
	first.shows(`^code 0$`)
	first.shows(`^1$`)
	second.types("echo still $((40+2))")
	second.shows(`^still 42$`)
	second.keys("C-p", "C-q")
	second.shows(`^in> \$ *$`)
	second.types("clear; rootlet ps --format '{{.Names}} {{.State}}'")
	second.shows(`^shell running$`)

	// Keys that begin like them reach the program; other keys can be chosen.
	first.types("clear; rootlet attach --detach-keys ctrl-x,x shell")
	first.keys("C-x")
	first.types("y")
	first.shows(`not found`)
	first.keys("C-x", "x")
	first.shows(`^in> \$ *$`)
	first.types("clear; echo out $((3+4))")
	first.shows(`^out 7$`)
	first.types("clear; rootlet attach shell")
	first.keys("Enter")
	first.shows(`^in>`)
	first.types("exit 9")
	first.asks()
	first.types("clear; rootlet wait shell; rootlet rm shell")
	first.shows(`^9$`)
	first.shows(`^shell$`)
}
