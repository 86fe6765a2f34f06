package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// exportCmd is `rootlet export`.
type exportCmd struct {
	Container string `arg:"" help:"Name or id."`
	Output    string `name:"output" short:"o" placeholder:"FILE" help:"Write to a file, not to standard output."`
}

// Run writes the container's root as an archive.
func (c *exportCmd) Run(a *app) error {
	found, err := findContainer(c.Container)
	if err != nil {
		return err
	}
	w := filesWork{ID: found.id, Given: c.Container, Export: true}
	write := func(to io.Writer) error {
		_, err := a.inFiles(found.paths, w, false, func(_ []byte, stream *os.File) error {
			_, err := io.Copy(to, stream)
			return err
		})
		return err
	}
	if c.Output != "" {
		return toFile(c.Output, write)
	}
	if stdout, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(stdout.Fd())) {
		return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
	}
	return write(a.stdout)
}

// toFile has write fill a file, which has its name only when it is whole. What
// is there already and is no regular file, /dev/null or a pipe, is written to
// as it is.
func toFile(path string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return fmt.Errorf("invalid output path: %q is a directory", path)
	}
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("invalid output path: %w", err)
	}
	defer os.Remove(f.Name())
	// CreateTemp makes it the user's alone, as is only right for files of any
	// owner.
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
