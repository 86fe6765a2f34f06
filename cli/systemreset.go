package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rootlet/cli/placement"
	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// systemResetCmd is `rootlet system reset`: the way to remove what belongs to
// subordinate ids, which rm cannot.
type systemResetCmd struct {
	Force bool `name:"force" short:"f" help:"Do not ask, and kill what runs."`
}

// Run removes all that is stored, and reads none of it: it may be damaged.
func (c *systemResetCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	running, err := listUp(paths)
	if err != nil && !c.Force {
		return err
	}
	if len(running) > 0 && !c.Force {
		return &stillUpError{what: "reset", names: namesOf(running)}
	}
	if err := a.confirm(c.Force, resetWarning(paths)); err != nil {
		return err
	}
	for _, e := range running {
		if err := sandbox.End(paths, e.ID); err != nil {
			return fmt.Errorf("container %s: %w", e.Spec.Name, err)
		}
	}
	plan, err := a.plan(paths)
	if err != nil {
		return err
	}
	var none struct{}
	if err := a.have(plan, work{Paths: paths, Reset: &resetWork{}}, nil, &none); err != nil {
		return err
	}
	return removeOwnPart(paths)
}

func resetWarning(paths sandbox.Paths) string {
	lines := []string{"all containers, and what they have written", "all images, and what was pushed to `registry serve`", "all volumes and networks"}
	where := paths.Data
	if paths.Layers != "" {
		where += " and " + paths.Layers
	}
	return "WARNING! This will remove:\n  - " + strings.Join(lines, "\n  - ") + "\n\nThat is all in " + where + ". Settings and logins stay.\n"
}

// listUp are the containers that run. One whose program has ended may have a monitor
// for a moment more.
func listUp(paths sandbox.Paths) ([]record.Entry, error) {
	all, err := record.Root(paths.Data).ListAlive()
	return slices.DeleteFunc(all, func(e record.Entry) bool { return e.State.Status == record.Exited || e.State.Status == record.Dead }), err
}

// stillUpError refuses what cannot be done below containers that run.
type stillUpError struct {
	what  string
	names []string
}

func namesOf(entries []record.Entry) []string {
	var names []string
	for _, e := range entries {
		name := e.Spec.Name
		if name == "" {
			name = shortID(e.ID, false)
		}
		names = append(names, name)
	}
	return names
}

func (e *stillUpError) Error() string {
	if len(e.names) == 1 {
		return fmt.Sprintf("%s: container %s is running", e.what, e.names[0])
	}
	return fmt.Sprintf("%s: containers are running: %s", e.what, strings.Join(e.names, ", "))
}

// Hint says how to end them.
func (e *stillUpError) Hint() string {
	hint := "rootlet stop " + strings.Join(e.names, " ")
	if e.what == "reset" {
		hint += "; or -f, which kills them"
	}
	return hint
}

// resetWork empties the data directory and the scratch, for the worker: what lies
// there belongs to many ids.
type resetWork struct{}

func (*resetWork) do(t *task) (any, error) {
	var errs []error
	root := record.Root(t.Paths.Data)
	ending, _ := root.ListAlive()
	for _, e := range ending {
		if c, err := sandbox.OpenEnded(root, e.ID); err == nil {
			_ = c.Close() // its monitor has let go
		}
	}
	if t.Paths.Layers != "" {
		errs = append(errs, fuseoverlay.RemoveTree(t.Paths.Layers))
		placement.Unmake(t.Paths.Layers)
	}
	entries, err := os.ReadDir(t.Paths.Data)
	errs = append(errs, err)
	for _, e := range entries {
		errs = append(errs, fuseoverlay.RemoveTree(filepath.Join(t.Paths.Data, e.Name())))
	}
	return struct{}{}, errors.Join(errs...)
}

// removeOwnPart removes the directories themselves, which are the user's, and what a
// move has put in the place of one.
func removeOwnPart(paths sandbox.Paths) error {
	err := os.RemoveAll(paths.Runtime)
	if paths.Data == "" {
		return err
	}
	if err := errors.Join(err, os.RemoveAll(paths.Data)); err != nil {
		return err
	}
	named, err := dataDir()
	if err != nil || named == paths.Data {
		return err
	}
	return os.Remove(named)
}
