package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rootlet/cli/placement"
	"rootlet/sandbox"
)

// You come here from the command line. Next is movework.go, in a worker; movejournal.go
// has what happens to a move that was killed.

// systemMoveCmd is `rootlet system move`.
type systemMoveCmd struct {
	Dir    string `arg:"" name:"dir" help:"Where the data is to be: a directory that is empty, or not there yet. With --layers one in which a directory for the layers is made."`
	Layers bool   `name:"layers" help:"Move the layers only."`
}

// Run moves the data, or the layers, and prints where they are.
func (c *systemMoveCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	named, err := dataDir()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	m := moveWork{journal: journal{Named: named, From: paths.Data, To: dir, Copy: dir}}
	if c.Layers {
		err = c.layers(paths, dir, &m)
	} else {
		err = c.data(&m)
	}
	if err != nil {
		return err
	}
	running, err := listUp(paths)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return &stillUpError{what: "move", names: namesOf(running)}
	}
	plan, err := a.plan(paths)
	if err != nil {
		return err
	}
	var none struct{}
	if err := a.have(plan, work{Paths: paths, Move: &m}, nil, &none); err != nil {
		return err
	}
	at := m.To
	if c.Layers {
		at = layersPlace(m.To, paths)
		if asked := a.askedScratch(paths); asked != "" && asked != at {
			a.notice(fmt.Sprintf("a flag, ROOTLET_LAYERS_DIR or config.toml still says layers-dir = %q: change it, or commands will refuse", a.layersDir))
		}
	}
	_, err = fmt.Fprintln(a.stdout, at)
	return err
}

// data checks where the data is to be.
func (c *systemMoveCmd) data(m *moveWork) error {
	switch {
	case m.To == m.From:
		return fmt.Errorf("the data is in %s already", m.To)
	case inside(m.To, m.From) || inside(m.From, m.To):
		return fmt.Errorf("%s and %s: one is in the other", m.From, m.To)
	case m.To == m.Named: // back to where a link is now
		m.Copy = m.aside()
		return nil
	}
	entries, err := os.ReadDir(m.To)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(filepath.Dir(m.To), 0o700)
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty", m.To)
	}
	m.Existed = true
	return makePrivate(m.To)
}

func inside(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// layers checks where the layers are to be. The data directory's own name takes them
// back into it.
func (c *systemMoveCmd) layers(paths sandbox.Paths, dir string, m *moveWork) error {
	m.Layers, m.From, m.Copy = true, paths.Layers, ""
	m.To = scratchIn(dir, paths)
	if dir == m.Named || dir == paths.Data {
		m.To = ""
	}
	if m.To == m.From {
		return fmt.Errorf("the layers are in %s already", layersPlace(m.From, paths))
	}
	if m.To == "" {
		return nil
	}
	if inside(dir, paths.Data) {
		return fmt.Errorf("%s is in the data directory", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return placement.Make(m.To)
}
