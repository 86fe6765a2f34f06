package emulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// readHello reads a Hello, up to its newline.
func readHello(from io.Reader) (Hello, error) {
	var h Hello
	var text []byte
	buf := make([]byte, 4096)
	for !bytes.HasSuffix(text, []byte("\n")) {
		n, err := from.Read(buf)
		if err != nil {
			return h, err
		}
		if text = append(text, buf[:n]...); len(text) > maxHello {
			return h, errors.New("that is no hello")
		}
	}
	return h, json.Unmarshal(text, &h)
}

// Announce says Hello on a connection to a supervisor, and waits until it can take a
// listener. A process that is cloned then sends one, and waits for one byte.
func Announce(socket *os.File, h Hello) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := socket.Write(append(text, '\n')); err != nil {
		return err
	}
	_, err = io.ReadFull(socket, make([]byte, 1))
	if err != nil {
		return fmt.Errorf("root emulation: %w", err)
	}
	return nil
}
