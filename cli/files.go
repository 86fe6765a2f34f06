package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/archive"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/files"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// You come here from the commands that work in a container's files: cp, commit,
// diff and export. Each has its work done by a worker; what goes back and forth
// besides frames is one stream, over a pipe.

// filesWork is work in one container's files, for the worker: exactly one of Out,
// In, Commit, Diff and Export is set.
type filesWork struct {
	ID      string `json:"id"`
	Running bool   `json:"running"` // the worker is in the container's user namespace
	Given   string `json:"given"`   // what the user calls the container

	Out    *files.Out  `json:"out,omitempty"`
	In     *files.In   `json:"in,omitempty"`
	Commit *commitWork `json:"commit,omitempty"`
	Export bool        `json:"export,omitempty"`
}

// filesResult is what came of it.
type filesResult struct {
	Extracted archive.Extracted `json:"extracted"`
	ImageID   string            `json:"imageID,omitempty"`
	Again     bool              `json:"again,omitempty"` // nothing was done: the container has just started or ended
}

// streamFD is where a worker finds its end of the pipe.
const streamFD = 4

func (w *filesWork) do(ctx context.Context, t *task) (any, error) {
	stream := os.NewFile(streamFD, "stream")
	defer stream.Close()
	c, err := sandbox.OpenFiles(t.Paths, t.store, w.ID, w.Running)
	if errors.Is(err, sandbox.ErrChanged) {
		return filesResult{Again: true}, nil
	}
	if err != nil {
		return nil, err
	}
	result, err := w.with(ctx, t, c, stream)
	if errors.Is(err, sandbox.ErrChanged) {
		return filesResult{Again: true}, c.Close()
	}
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	return result, err
}

func (w *filesWork) with(ctx context.Context, t *task, c *sandbox.Opened, stream *os.File) (result filesResult, err error) {
	action := ""
	switch {
	case w.Commit != nil:
		result.ImageID, err = w.Commit.do(ctx, t, c)
		return result, err
	case w.Export:
		action = "export"
		err = w.export(ctx, t, c, stream)
	case w.Out != nil:
		action = "archive-path"
		err = w.copyOut(ctx, t, c, stream)
	case w.In != nil:
		action = "extract-to-dir"
		result.Extracted, err = w.copyIn(ctx, t, c, stream)
	}
	if err == nil {
		_ = events.Append(t.Paths.Data, events.Of(&c.Spec, action))
	}
	return result, err
}

// ready tells the command that its end of the stream has work to do.
func (t *task) ready(v any) error { return t.conn.SendJSON(kindEvent, v) }

func (w *filesWork) export(ctx context.Context, t *task, c *sandbox.Opened, stream *os.File) error {
	if err := c.Settle(); err != nil {
		return err
	}
	if err := t.ready(struct{}{}); err != nil {
		return err
	}
	own := c.Own()
	own.Skip = nil
	return t.store.Export(ctx, stream, c.Image, own)
}

// root is the container's root as package files wants it.
func (w *filesWork) root(c *sandbox.Opened) (files.Root, error) {
	if err := c.OpenRoot(); err != nil {
		return files.Root{}, err
	}
	uid, gid := c.FromU1()
	return files.Root{Dir: c.Root, Name: w.Given, ToU1: c.ToU1, OneID: c.OneID(), UID: uid, GID: gid}, nil
}

func (w *filesWork) copyOut(ctx context.Context, t *task, c *sandbox.Opened, stream *os.File) error {
	root, err := w.root(c)
	if err != nil {
		return err
	}
	return root.CopyOut(ctx, *w.Out, func(i files.Info) error { return t.ready(i) }, stream)
}

func (w *filesWork) copyIn(ctx context.Context, t *task, c *sandbox.Opened, stream *os.File) (archive.Extracted, error) {
	root, err := w.root(c)
	if err != nil {
		return archive.Extracted{}, err
	}
	return root.CopyIn(ctx, *w.In, func(to files.Target) error { return t.ready(to) }, stream)
}

// inFiles has a worker do w in a container, where that is now: in its user
// namespace if it runs. ready is told, in a goroutine of its own, what the worker
// says when the stream is its; it gets the command's end of it, and its error is
// the one that counts. worker is the end that the worker gets.
func (a *app) inFiles(paths sandbox.Paths, w filesWork, writes bool, ready func(told []byte, stream *os.File) error) (filesResult, error) {
	root := record.Root(paths.Data)
	const patience = 10 * time.Second
	for deadline := a.began.Add(patience); ; {
		state, err := root.Live(w.ID)
		if err != nil {
			return filesResult{}, err
		}
		w.Running = state.Status.Up()
		result, err := a.onceInFiles(paths, w, writes, ready)
		if errors.Is(err, sandbox.ErrNotRunning) {
			result.Again, err = true, nil
		}
		if err != nil || !result.Again {
			return result, err
		}
		if time.Now().After(deadline) {
			return result, fmt.Errorf("container %s keeps starting and ending: not reached after %v", w.Given, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (a *app) onceInFiles(paths sandbox.Paths, w filesWork, writes bool, ready func([]byte, *os.File) error) (filesResult, error) {
	var result filesResult
	start, err := a.starter(paths, w)
	if err != nil {
		return result, err
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return result, err
	}
	// The larger the pipe, the fewer turns they take; a user has a bound for all of
	// his (pipe(7)), and then this one stays as it is.
	_, _ = unix.FcntlInt(ours.Fd(), unix.F_SETPIPE_SZ, pipeSize)
	if writes {
		ours, theirs = theirs, ours
	}
	streamed := make(chan error, 1)
	began := false
	err = a.haveBy(start, work{Paths: paths, Files: &w}, func(told []byte) {
		began = true
		go func() {
			err := ready(told, ours)
			streamed <- errors.Join(err, ours.Close())
		}()
	}, &result, theirs)
	if !began {
		return result, errors.Join(err, ours.Close())
	}
	var interrupted *interruptedError
	if errors.As(err, &interrupted) {
		return result, err // what is being read, or written, may never end
	}
	var patience <-chan time.Time
	if err != nil && writes {
		patience = time.After(lastWord) // it may be reading what never ends
	}
	select {
	case streamErr := <-streamed:
		if streamErr != nil && !errors.Is(streamErr, errBroken) {
			err = streamErr
		}
	case <-patience:
	}
	return result, err
}

// lastWord is how long the command's own error is waited for, where it may be
// why the worker failed.
const lastWord = 200 * time.Millisecond

// pipeSize is what a user may have without being privileged, in bytes.
const pipeSize = 1 << 20

// errBroken is the error of a stream whose other end has gone: why, the worker
// has said.
var errBroken = errors.New("broken stream")

// starter is the way to start a worker that reaches the container's files.
func (a *app) starter(paths sandbox.Paths, w filesWork) (func(userns.Command) (*os.Process, error), error) {
	if w.Running {
		return func(c userns.Command) (*os.Process, error) {
			return sandbox.StartInside(record.Root(paths.Data), w.ID, c)
		}, nil
	}
	plan, err := a.plan(paths)
	if err != nil {
		return nil, err
	}
	return plan.Start, nil
}

// counted counts what is written.
type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// decode reads what a worker has told.
func decode(told []byte, v any) error {
	if err := json.Unmarshal(told, v); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}
