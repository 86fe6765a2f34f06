package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"rootlet/internal/linux"
)

// TerminalSize is the size of the terminal that f is, zero where it is none.
func TerminalSize(f *os.File) Size {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return Size{}
	}
	return Size{Rows: uint16(rows), Columns: uint16(columns)}
}

// attachTerminal puts the user's terminal into raw mode: every key is the
// program's, Ctrl-C too. restore puts it back, on every way out.
func (c *client) attachTerminal() error {
	if !c.attach.Stdin || !isTerminal(c.streams.Stdin) {
		return nil
	}
	var err error
	if c.restore, err = makeRaw(c.streams.Stdin); err != nil {
		return err
	}
	c.sendSize() // it may have changed since the request was made
	return nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// makeRaw puts the user's terminal into raw mode and returns what puts it back,
// which does nothing where there was an error.
func makeRaw(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return func() {}, fmt.Errorf("raw terminal: %w", err)
	}
	return func() { _ = term.Restore(fd, before) }, nil
}

// setWindow gives a container's terminal the size of a client's; none is left
// alone.
func setWindow(console *os.File, size Size) {
	if console == nil || size.Rows == 0 || size.Columns == 0 {
		return
	}
	if fd, err := linux.Descriptor(console); err == nil {
		_ = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	}
}

// sendSize tells the monitor how large the user's terminal is now.
func (c *client) sendSize() {
	if size := TerminalSize(c.streams.Stdin); size.Rows > 0 {
		_ = c.conn.SendJSON(kindResize, size)
	}
}
