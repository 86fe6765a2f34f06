package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/term"
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
	fd := int(c.streams.Stdin.Fd())
	if !c.attach.Stdin || !term.IsTerminal(fd) {
		return nil
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return fmt.Errorf("raw terminal: %w", err)
	}
	c.restore = func() { _ = term.Restore(fd, before) }
	c.sendSize() // it may have changed since the request was made
	return nil
}

// sendSize tells the monitor how large the user's terminal is now.
func (c *client) sendSize() {
	if size := TerminalSize(c.streams.Stdin); size.Rows > 0 {
		_ = c.conn.SendJSON(kindResize, size)
	}
}
