package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rootlet/sandbox/record"
)

// generatedFiles are bound to /etc of a container from its own directory.
var generatedFiles = [...]string{"hosts", "resolv.conf", "hostname"}

// --network container:NAME: what goes with the namespace (neighbours.go). You come here
// from network.go.

// borrow makes a file of another container's this one's, too: what either of them, or
// the other's next start, writes into it both see, as with Docker.
func (m *monitor) borrow(other, name string) (string, error) {
	theirs := filepath.Join(record.Root(m.Paths.Data).Dir(other), name)
	ours := filepath.Join(m.container.Dir, name)
	if err := os.Remove(ours); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return ours, os.Link(theirs, ours)
}

// borrowFiles is generate for a container that shares another's network.
func (m *monitor) borrowFiles(other string) (map[string]string, error) {
	generated := map[string]string{}
	for _, name := range generatedFiles {
		path, err := m.borrow(other, name)
		if err != nil {
			return nil, fmt.Errorf("share /etc/%s: %w", name, gone(err, other))
		}
		generated["/etc/"+name] = path
	}
	return generated, m.addHelloFacts(generated)
}
