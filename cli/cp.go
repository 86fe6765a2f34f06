package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"rootlet/fuseoverlay/archive"
	"rootlet/sandbox"
	"rootlet/sandbox/files"
	"rootlet/sandbox/record"
)

// cpCmd is `rootlet cp`.
type cpCmd struct {
	Source      string `arg:"" help:"CONTAINER:PATH, a path of the host, or - for an archive on standard input."`
	Destination string `arg:"" help:"CONTAINER:PATH, a path of the host, or - for an archive on standard output."`
	Archive     bool   `name:"archive" short:"a" help:"Keep owners and modes."`
	FollowLink  bool   `name:"follow-link" short:"L" help:"Follow a symlink that is the source."`
	Quiet       *bool  `name:"quiet" short:"q" help:"Say nothing when it is done; so where standard output is no terminal."`
}

// Run copies one way or the other.
func (c *cpCmd) Run(a *app) error {
	if c.Source == "" {
		return usage("rootlet cp", "source can not be empty")
	}
	if c.Destination == "" {
		return usage("rootlet cp", "destination can not be empty")
	}
	from, source := splitCopyArg(c.Source)
	to, destination := splitCopyArg(c.Destination)
	switch {
	case from != "" && to != "":
		return errors.New("copying between containers is not supported")
	case from == "" && to == "":
		return errors.New("must specify at least one container source")
	}
	given, path := from, source
	if to != "" {
		given, path = to, destination
	}
	if path == "" {
		return fmt.Errorf("%s: no path is given after the colon", given)
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	id, err := record.Root(paths.Data).Find(given)
	if err != nil {
		return err
	}
	w := filesWork{ID: id, Given: given}
	if to != "" {
		return c.copyIn(a, paths, w, source, destination)
	}
	return c.copyOut(a, paths, w, source, destination)
}

// splitCopyArg tells CONTAINER:PATH from a path of the host, which may have a
// colon in it where it begins with a slash or a dot.
func splitCopyArg(arg string) (container, path string) {
	if filepath.IsAbs(arg) {
		return "", arg
	}
	container, path, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(container, ".") {
		return "", arg
	}
	return container, path
}

// done says how much was copied, where someone is there to see it.
func (c *cpCmd) done(a *app, bytes int64, to string, left archive.Extracted) {
	if left.Devices > 0 {
		a.notice(fmt.Sprintf("%d device nodes left out: nobody may make one in a user namespace", left.Devices))
	}
	quiet := true
	if stdout, ok := a.stdout.(*os.File); ok {
		quiet = !term.IsTerminal(int(stdout.Fd()))
	}
	if c.Quiet != nil {
		quiet = *c.Quiet
	}
	if !quiet {
		a.line("", fmt.Sprintf("Successfully copied %s to %s", units.HumanSizeWithPrecision(float64(bytes), 3), to))
	}
}

// copyIn copies from the host to a container.
func (c *cpCmd) copyIn(a *app, paths sandbox.Paths, w filesWork, source, destination string) error {
	w.In = &files.In{Path: destination, Archive: source == "-", KeepOwner: c.Archive}
	var top *os.File
	if source != "-" {
		var err error
		if top, err = c.openSource(source); err != nil {
			return err
		}
		defer top.Close()
		info, err := top.Stat()
		if err != nil {
			return err
		}
		w.In.IsDir, w.In.Base = info.IsDir(), hostBase(source)
	}
	var copied int64
	result, err := a.inFiles(paths, w, true, func(told []byte, stream *os.File) error {
		var to files.Target
		if err := decode(told, &to); err != nil {
			return err
		}
		out := &counted{to: stream}
		defer func() { copied = out.n }()
		if top == nil {
			_, err := io.Copy(out, a.stdin)
			return broken(err)
		}
		return broken(sendTree(out, top, to.As))
	})
	if err != nil {
		return err
	}
	c.done(a, copied, w.Given+":"+destination, result.Extracted)
	return nil
}

// sendTree writes what is open as an archive.
func sendTree(to io.Writer, top *os.File, as string) error {
	w := archive.NewWriter(context.Background(), to, archive.WriteOptions{})
	if err := w.Tree(top, as); err != nil {
		return err
	}
	return w.Close()
}

// broken tells the end of the other side from a fault of ours.
func broken(err error) error {
	if errors.Is(err, unix.EPIPE) {
		return errBroken
	}
	return err
}

// openSource opens a path of the host, O_PATH: the file that it names now is the
// one that is copied, whatever the name leads to later.
func (c *cpCmd) openSource(source string) (*os.File, error) {
	flags := unix.O_PATH | unix.O_CLOEXEC
	if !c.FollowLink && !files.AssertsDir(source) {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Open(source, flags, 0)
	if err != nil {
		return nil, &os.PathError{Op: "lstat", Path: source, Err: err}
	}
	return os.NewFile(uintptr(fd), source), nil
}

// hostBase is the name that a path of the host gives to a copy.
func hostBase(source string) string {
	if base := files.Base(source); base != "." && base != ".." {
		return base
	}
	// "." and ".." are directories with a name, but what is in them is meant
	// where a path ends in /. only.
	absolute, err := filepath.Abs(source)
	if err != nil || source == "." || strings.HasSuffix(source, "/.") {
		return "."
	}
	return files.Base(absolute)
}

// copyOut copies from a container to the host.
func (c *cpCmd) copyOut(a *app, paths sandbox.Paths, w filesWork, source, destination string) error {
	w.Out = &files.Out{Path: source, FollowLink: c.FollowLink}
	if destination == "-" {
		_, err := a.inFiles(paths, w, false, func(_ []byte, stream *os.File) error {
			_, err := io.Copy(a.stdout, stream)
			return err
		})
		return err
	}
	to, err := findHostTarget(destination)
	if err != nil {
		return err
	}
	w.Out.As = to.as(source)
	var copied int64
	var left archive.Extracted
	_, err = a.inFiles(paths, w, false, func(told []byte, stream *os.File) (err error) {
		copied, left, err = c.receive(told, to, stream)
		return err
	})
	if err != nil {
		return err
	}
	c.done(a, copied, destination, left)
	return nil
}

// receive makes the files of a container's archive on the host.
func (c *cpCmd) receive(told []byte, to *hostTarget, stream *os.File) (int64, archive.Extracted, error) {
	var none archive.Extracted
	var info files.Info
	if err := decode(told, &info); err != nil {
		return 0, none, err
	}
	if err := to.accepts(info.IsDir); err != nil {
		return 0, none, err
	}
	dir, err := os.OpenFile(to.dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, none, err
	}
	defer dir.Close()
	counting := &counted{to: io.Discard}
	umask := uint32(unix.Umask(0))
	unix.Umask(int(umask))
	left, err := files.Host(context.Background(), io.TeeReader(stream, counting), dir, umask, c.Archive)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		err = errBroken // the worker has said why, or died
	}
	return counting.n, left, err
}
