package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/linux"
	"rootlet/internal/need"
	"rootlet/internal/stage"
	"rootlet/sandbox"
	"rootlet/userns"
)

// The worker is the stage that touches the store outside of a container's life:
// layers hold the files of many ids, which only U1 may read, write and delete.
// It does one piece of work and ends.

// Frames between a command and its worker.
const (
	kindWork     stage.Kind = iota + 1 // command: work, the first frame
	kindEvent                          // worker: progress, as the work defines it
	kindNotice                         // worker: text for the user
	kindDone                           // worker: the work's result; the last frame
	kindFailed                         // worker: failed; the last frame
	kindHappened                       // worker: events.Event, to be written down
)

// work is what a worker is told to do: exactly one of its fields is set.
type work struct {
	Paths  sandbox.Paths `json:"paths"`
	Driver string        `json:"driver,omitempty"`

	Installing installing `json:"installing"`

	Pull   *pullWork   `json:"pull,omitempty"`
	Load   *loadWork   `json:"load,omitempty"`
	Adopt  *adoptWork  `json:"adopt,omitempty"`
	Import *importWork `json:"import,omitempty"`
	Hello  *helloWork  `json:"hello,omitempty"`
	Remove *removeWork `json:"remove,omitempty"`
	Rmi    *rmiWork    `json:"rmi,omitempty"`
	Info   *infoWork   `json:"info,omitempty"`
	Sizes  *sizesWork  `json:"sizes,omitempty"`
	Files  *filesWork  `json:"files,omitempty"`
	Served *servedWork `json:"served,omitempty"`
	Diff   *diffWork   `json:"diff,omitempty"`
	Tag    *tagWork    `json:"tag,omitempty"`
	Check  *checkWork  `json:"check,omitempty"`

	Places *placesWork `json:"places,omitempty"`
	Refill *refillWork `json:"refill,omitempty"`
	Reset  *resetWork  `json:"reset,omitempty"`
	Move   *moveWork   `json:"move,omitempty"`

	Unshare *unshareWork `json:"unshare,omitempty"`

	ImageDiff *imageDiffWork `json:"imageDiff,omitempty"`

	Volumes     *volumesWork     `json:"volumes,omitempty"`
	PruneImages *pruneImagesWork `json:"pruneImages,omitempty"`
	Usage       *usageWork       `json:"usage,omitempty"`
}

// task is one piece of work, with what it needs to be done.
type task struct {
	work
	conn  *stage.Conn
	store *fuseoverlay.Store
}

// Worker is the stage. It returns the process's exit status.
func Worker() int {
	conn, err := stage.Inherited()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitEngine
	}
	t := &task{conn: conn}
	if err := conn.RecvJSON(kindWork, &t.work); err != nil {
		return ExitEngine
	}
	if t.Unshare != nil {
		return t.Unshare.become(conn)
	}
	result, err := t.run()
	if err == nil {
		err = conn.SendJSON(kindDone, result)
	}
	if err != nil {
		f := packed(err)
		f.NameDisk(err, t.Paths)
		_ = conn.SendJSON(kindFailed, f)
		return ExitError
	}
	return 0
}

func (t *task) run() (any, error) {
	if err := linux.CloseOnExecFrom(3); err != nil {
		return nil, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, userns.Diagnose(fmt.Errorf("separate our mounts from the host's: %w", err))
	}
	unix.Umask(0o077)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// The command says nothing more; when it goes away, so do we.
		_, _, _ = t.conn.Recv()
		cancel()
	}()
	if t.Remove != nil || t.Volumes != nil {
		defer t.sweep()
	}
	if t.Pull != nil || t.Load != nil || t.Adopt != nil || t.Import != nil || t.Served != nil {
		t.sweep() // which it has no right to afterwards
		if err := t.confine(); err != nil {
			return nil, err
		}
	}
	switch {
	case t.Places != nil:
		return t.Places.do(t)
	case t.Move != nil:
		return t.Move.do(t)
	case t.Reset != nil:
		return t.Reset.do(t)
	case t.Refill != nil:
		return t.Refill.do(ctx, t)
	case t.Check != nil:
		return t.Check.do(ctx, t)
	case t.Remove != nil:
		return t.Remove.do(t)
	case t.Volumes != nil:
		return t.Volumes.do(t.Paths)
	case t.Usage != nil:
		return t.Usage.do(t.Paths)
	case t.Sizes != nil:
		return t.Sizes.do(t.Paths)
	}
	var err error
	if t.store, err = fuseoverlay.Open(sandbox.StoreConfig(t.Paths, t.Driver)); err != nil {
		return nil, err
	}
	defer t.store.Close()
	if err := t.findAgain(ctx); err != nil {
		return nil, err
	}
	switch {
	case t.Pull != nil:
		return t.Pull.do(ctx, t)
	case t.Load != nil:
		return t.Load.do(ctx, t)
	case t.Adopt != nil:
		return t.Adopt.do(ctx, t)
	case t.Import != nil:
		return t.Import.do(ctx, t)
	case t.Served != nil:
		return t.Served.do(ctx, t)
	case t.Hello != nil:
		return t.Hello.do(ctx, t)
	case t.Rmi != nil:
		return t.Rmi.do(t)
	case t.PruneImages != nil:
		return t.PruneImages.do(t)
	case t.Tag != nil:
		return t.Tag.do(t)
	case t.ImageDiff != nil:
		return t.ImageDiff.do(t)
	case t.Info != nil:
		return t.Info.do(t)
	case t.Diff != nil:
		return t.Diff.do(t)
	case t.Files != nil:
		return t.Files.do(ctx, t)
	}
	return nil, errors.New("worker: nothing to do")
}

// sweep takes away what removals that died have left, where a command takes its
// time anyway. That it cannot is no fault of the work.
func (t *task) sweep() {
	if err := errors.Join(sandbox.Sweep(t.Paths), sweepMove(t.Paths)); err != nil {
		_ = t.conn.Send(kindNotice, fmt.Appendf(nil, "leftovers of removed containers: %v", err))
	}
}

// failed is an error on its way from a worker: a Failure, or where a setting of
// the host is behind it, that setting.
type failed struct {
	sandbox.Failure
	Setting string `json:"setting,omitempty"`
	Value   string `json:"value,omitempty"`
	Cause   string `json:"cause,omitempty"`
}

func packed(err error) failed {
	f := failed{Failure: sandbox.Failure{Message: err.Error(), Code: ExitError, NoImage: errors.Is(err, fuseoverlay.ErrNoImage), Lacks: need.Of(err)}}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.Fix = hinted.Hint()
	}
	var forbidden *userns.Forbidden
	if errors.As(err, &forbidden) {
		f.Setting, f.Value, f.Cause = forbidden.Setting, forbidden.Value, fmt.Sprint(forbidden.Err)
	}
	return f
}

// unpacked is the error again.
func (f *failed) unpacked() error {
	if f.Setting != "" {
		return &userns.Forbidden{Setting: f.Setting, Value: f.Value, Fix: f.Fix, Err: errors.New(f.Cause)}
	}
	return &f.Failure
}
