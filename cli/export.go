package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"rootlet/internal/linux"
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
		return whereFull(toFile(c.Output, write), c.Output, found.paths.Data)
	}
	if stdout, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(stdout.Fd())) {
		return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
	}
	return whereFull(write(a.stdout), stdinPath, found.paths.Data)
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
	f, hidden, err := fileFor(path)
	if err != nil {
		return fmt.Errorf("invalid output path: %w", err)
	}
	if err := write(f); err != nil {
		return errors.Join(err, f.Close(), dropName(hidden))
	}
	if err := name(f, hidden, path); err != nil {
		return errors.Join(err, f.Close(), dropName(hidden))
	}
	return f.Close()
}

// fileFor makes the file that is to be path, and the user's alone, as is only
// right for files of any owner. hidden is the name that it has so far, if any.
func fileFor(path string) (f *os.File, hidden string, err error) {
	f, err = unnamed(filepath.Dir(path), path)
	if !errors.Is(err, errors.ErrUnsupported) {
		return f, "", err
	}
	if f, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"); err != nil {
		return nil, "", err
	}
	return f, f.Name(), nil
}

// unnamed makes a file without a name (open(2), O_TMPFILE): nothing is left of it
// if we are killed, or the disk is full. Not every file system has them. Errors of
// the file call it as.
func unnamed(dir, as string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EISDIR) {
		err = errors.ErrUnsupported // a kernel that does not know the flag
	}
	if err != nil {
		return nil, &os.PathError{Op: "make a file in", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), as), nil
}

// name gives a file that is written its name, in place of what had it: linkat(2)
// replaces nothing, rename(2) does. Where nothing has it, there is no moment at which a
// file with another name could be left.
func name(f *os.File, hidden, path string) error {
	if hidden == "" {
		err := unix.Linkat(unix.AT_FDCWD, linux.FDPath(f), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
		if !errors.Is(err, unix.EEXIST) {
			return os.NewSyscallError("link what was written", err)
		}
		hidden = filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
		if err := unix.Linkat(unix.AT_FDCWD, linux.FDPath(f), unix.AT_FDCWD, hidden, unix.AT_SYMLINK_FOLLOW); err != nil {
			return &os.LinkError{Op: "link", Old: "what was written", New: hidden, Err: err}
		}
	}
	return os.Rename(hidden, path)
}

// dropName removes a file that has one and is not to be.
func dropName(hidden string) error {
	if hidden == "" {
		return nil
	}
	return os.Remove(hidden)
}
