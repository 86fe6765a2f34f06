package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"rootlet/internal/reserve"
	"rootlet/pull"
)

// stdinPath is the path that stands for standard input or output.
const stdinPath = "-"

// openImages opens what images are read from, a file, a directory or standard
// input, as a worker needs it: with a seek, and not compressed. It is the user
// who opens, not the worker, which may read more than he.
func (a *app) openImages(path, dir string) (*os.File, error) {
	f, err := a.openInput(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	if info.Mode().IsRegular() {
		at, err := f.Seek(0, io.SeekCurrent)
		head := make([]byte, pull.HeadSize)
		n, readErr := f.ReadAt(head, 0)
		if err == nil && at == 0 && (readErr == nil || readErr == io.EOF) && !pull.IsCompressed(head[:n]) {
			return f, nil
		}
	}
	defer f.Close()
	tar, err := pull.Uncompressed(f)
	if err != nil {
		return nil, err
	}
	defer tar.Close()
	return a.spool(dir, tar)
}

func (a *app) openInput(path string) (*os.File, error) {
	if path != stdinPath {
		return os.Open(path)
	}
	if term.IsTerminal(int(a.stdin.Fd())) {
		return nil, errors.New("standard input is a terminal: name a file, or redirect one")
	}
	fd, err := unix.FcntlInt(a.stdin.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return os.NewFile(uintptr(fd), stdinPath), nil
}

// spool writes all of r to a file without a name, which goes away with the last
// process that has it open, however that ends.
func (a *app) spool(dir string, r io.Reader) (*os.File, error) {
	f, err := nameless(dir)
	if err != nil {
		return nil, fmt.Errorf("keep the input: %w", err)
	}
	r = reserve.On(int(f.Fd()), a.config.Limits.FreeDisk).Reader(r)
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, 256<<10)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// nameless makes a file that has lost its name at the latest when this returns.
func nameless(dir string) (*os.File, error) {
	f, err := unnamed(dir, dir)
	if !errors.Is(err, errors.ErrUnsupported) {
		return f, err
	}
	if f, err = os.CreateTemp(dir, ".spool-"); err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
